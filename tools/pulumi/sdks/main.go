// Generates the SDKs of the component from its schema, as `pulumi package gen-sdk` does with language hosts that are
// newer than those that can be built here: go run ./sdks SCHEMA FOLDER
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "tools/pulumi/sdks"

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: go run ./sdks SCHEMA FOLDER"))
	}
	data, err := os.ReadFile(os.Args[1])
	fail(err)
	for language, generate := range map[string]func(*schema.Package) (map[string][]byte, error){
		"python": func(p *schema.Package) (map[string][]byte, error) {
			return python.GeneratePackage(tool, p, nil, nil)
		},
		"nodejs": func(p *schema.Package) (map[string][]byte, error) {
			return nodejs.GeneratePackage(tool, p, nil, nil, true, nil)
		},
	} {
		var spec schema.PackageSpec
		fail(json.Unmarshal(data, &spec))
		// The generator of each language changes the package.
		bound, diagnostics, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
		fail(err)
		if diagnostics.HasErrors() {
			fail(diagnostics)
		}
		files, err := generate(bound)
		fail(err)
		for name, content := range files {
			path := filepath.Join(os.Args[2], language, name)
			fail(os.MkdirAll(filepath.Dir(path), 0o755))
			fail(os.WriteFile(path, content, 0o644))
		}
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
