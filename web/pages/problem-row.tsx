import type { ProblemPage } from "../api/soon.ts";

export function ProblemRow({ problem }: { readonly problem: ProblemPage["problems"][number] }) {
  return <>{problem.why.text}</>;
}
