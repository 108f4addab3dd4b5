import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "runs/", ".cache/", "notebooks/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
      // A named type for a long computed one.
      "@typescript-eslint/no-empty-object-type": ["error", { allowInterfaces: "with-single-extends" }],
      "@typescript-eslint/prefer-promise-reject-errors": "error",
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      // noUncheckedIndexedAccess makes `!` the ordinary way to read a typed array in a loop.
      "@typescript-eslint/no-non-null-assertion": "off",
      // TypeScript's noUnusedLocals and noUnusedParameters say the same.
      "@typescript-eslint/no-unused-vars": "off",
      // An async function without await keeps an interface's promise, or turns a throw into a rejection.
      "@typescript-eslint/require-await": "off",
      // Fields of Jupyter messages are unknown JSON; String() of them is what is meant.
      "@typescript-eslint/no-base-to-string": "off",
      // TensorFlow.js returns Tensor<Rank>: assertions say the rank where a shape comment does, needed or not.
      "@typescript-eslint/no-unnecessary-type-assertion": "off",
      // Hugging Face's own names are kept, snake case and all.
      "@typescript-eslint/naming-convention": "off",
    },
  },
  {
    files: ["tests/**/*.ts"],
    rules: {
      // Tests read JSON fixtures and pass wrong types on purpose.
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
);
