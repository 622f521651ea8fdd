// Destroys the stack of a TypeScript program without a language host: the SDK serves the program.
import { LocalWorkspace } from "@pulumi/pulumi/automation/index.js";

const stack = await LocalWorkspace.selectStack(
    { stackName: "dev", projectName: "research-platform", program: () => import("./index.js") },
    { workDir: process.cwd() },
);
await stack.destroy({ runProgram: true, onOutput: console.log });
