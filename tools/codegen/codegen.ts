import type { CodegenConfig } from "@graphql-codegen/cli";

const config: CodegenConfig = {
  schema: "../../schema.graphql",
  documents: ["src/**/*.ts"],
  generates: {
    "./generated/": {
      preset: "client",
      // FAIRLEAD_TRUSTED_DOCUMENTS takes persisted-documents.json as it is; the preset would hash with SHA-1.
      presetConfig: { persistedDocuments: { hashAlgorithm: "sha256" } },
      config: {
        useTypeImports: true,
        // A scalar that is missing here fails the run instead of becoming `any`.
        strictScalars: true,
        scalars: {
          Date: "string",
          DateTime: "string",
          Decimal: "string",
          JSON: "unknown",
          RuleValue: "string | number | boolean | ReadonlyArray<string | number | boolean>",
        },
      },
    },
  },
};

export default config;
