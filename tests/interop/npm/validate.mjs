// Validates a CycloneDX 1.6 document with the JavaScript library, and prints what is wrong with it.
import { readFileSync } from "node:fs";
import * as CycloneDX from "@cyclonedx/cyclonedx-library";

const { Spec, Validation } = CycloneDX;
const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
const wrong = await validator.validate(readFileSync(process.argv[2], "utf8"));
if (wrong !== null) {
  console.error(JSON.stringify(wrong, null, 1));
  process.exit(1);
}
console.log("valid");
