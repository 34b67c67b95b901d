import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, start } from "./processes.ts";
import { acceptsTcp } from "./readiness.ts";

/** Debian builds it as a module of its own. */
const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** Starts an nginx with these `http` and `stream` sections and waits until it accepts connections on `port`. */
export async function startNginx(
  folder: string,
  sections: { readonly http: string; readonly stream: string },
  port: number,
): Promise<Running> {
  mkdirSync(folder, { recursive: true });
  const config = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  writeFileSync(
    config,
    `load_module ${STREAM_MODULE};
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr info;
events {}
http { access_log off; ${temporary.join(" ")} ${sections.http} }
stream { ${sections.stream} }
`,
  );
  return start("nginx", ["-c", config, "-e", "stderr"], () => acceptsTcp(port));
}
