/**
 * Builds dist/ with one esbuild call: app-HASH.js, app-HASH.css, the fonts, and manifest.json, which tells the templates
 * the hashed names. A hash in the name lets the server send every file with a year of cache.
 * `node build.mjs` builds for use; `node build.mjs --watch` rebuilds while one works on the page.
 */
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");
const watching = process.argv.includes("--watch");

/** @type {import("esbuild").BuildOptions} */
const options = {
  absWorkingDir: here,
  entryPoints: { app: "src/app.js", style: "src/style.css" },
  outdir: "dist",
  entryNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17.4"],
  minify: !watching,
  sourcemap: true,
  legalComments: "linked",
  loader: { ".woff2": "file", ".svg": "text" },
  metafile: true,
  logLevel: "warning",
  plugins: [{ name: "manifest", setup: (build) => build.onEnd(writeManifest) }],
};

/**
 * Writes manifest.json last and by rename, so that a server started in mid-build never reads half a file, then removes
 * what earlier builds left.
 * @param {import("esbuild").BuildResult} result
 */
async function writeManifest(result) {
  if (!result.metafile) return;
  /** @type {Record<string, string>} */
  const manifest = {};
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    if (output.entryPoint === "src/app.js") manifest["app.js"] = basename(path);
    if (output.entryPoint === "src/style.css") manifest["style.css"] = basename(path);
  }
  const keep = new Set([...Object.keys(result.metafile.outputs).map((path) => basename(path)), "manifest.json"]);
  await writeFile(join(dist, "manifest.json.new"), `${JSON.stringify(manifest, null, 2)}\n`);
  await rename(join(dist, "manifest.json.new"), join(dist, "manifest.json"));
  for (const name of await readdir(dist)) if (!keep.has(name)) await rm(join(dist, name));
  if (watching) console.log("built", manifest["app.js"], manifest["style.css"]);
}

await mkdir(dist, { recursive: true });
if (watching) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
}
