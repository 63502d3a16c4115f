/** Claims about the words of the page: none is missing, and both languages say the same things. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const read = (path) => readFileSync(join(here, path), "utf8");
const words = Object.fromEntries(
  ["ja", "en"].map((lang) => [lang, JSON.parse(read(`../web/translations/${lang}.json`))]),
);
const scripts = readdirSync(join(here, "src"), { recursive: true }).filter((name) => name.endsWith(".js"));
// The page of `hako lesson serve` has its words in files of its own.
const templates = readdirSync(join(here, "../web/templates")).filter((name) => name !== "author.html");

/** Keys that are put together at run time, with what may stand in them. */
const MADE = {
  "js.cgroups.": ["cpu", "memory", "pids", "io", "frozen", "thawed", "reads", "writes", "marks"],
  "js.cgroups.col_": [
    "group",
    "count",
    "cpu",
    "spent",
    "throttled",
    "memory",
    "pids",
    "io",
    "state",
    "time",
    "written",
  ],
  "js.cgroups.is_": [
    "quota",
    "weight",
    "memory_limit",
    "pids_limit",
    "write_limit",
    "read_limit",
    "oom_kill",
    "refused",
  ],
  "js.check.": ["open", "other", "done", "broken"],
  "js.command.": ["run_in", "edit_in"],
  "js.divider.": ["text", "views", "beside", "below"],
  "js.keys.of_": ["page", "reading", "terminal"],
  "js.pane.": ["text", "terminals", "views"],
  "js.predict.": ["head_predicted", "head_quiz", "commit_predicted", "commit_quiz", "right", "chosen"],
  "js.settings.": ["auto", "light", "dark", "projector"],
  "js.step.": ["done", "here", "open"],
  "js.terminal.": ["new", "beside", "below", "one", "find", "copy", "smaller", "larger"],
  "js.timeline.by_": ["engine", "zygote", "child"],
  "js.timeline.col_": ["number", "step", "by", "begins", "takes", "sentence", "man"],
  "js.views.": ["kept_mount", "kept_fd", "kept_process", "col_kind", "col_inode", "col_whose", "col_processes"],
};

function used() {
  const keys = new Set(Object.entries(MADE).flatMap(([start, ends]) => ends.map((end) => start + end)));
  const all = (text, pattern, prefix = "") => {
    for (const match of text.matchAll(pattern)) keys.add(prefix + match[1]);
  };
  for (const name of scripts) {
    const text = read(join("src", name));
    all(text, /\bt\(\s*"([a-z_.]+)"/g, "js.");
    all(text, /\? "([a-z_]+\.[a-z_]+)" : "/g, "js.");
    all(text, /\? "[a-z_]+\.[a-z_]+" : "([a-z_]+\.[a-z_]+)"/g, "js.");
    all(text, /\], "(keys\.[a-z_]+)"\]/g, "js.");
  }
  all(read("src/views/registry.js"), /^ {2}(\w+): \w+View,/gm, "js.views.");
  for (const name of templates) {
    const text = read(join("../web/templates", name));
    all(text, /\bt\(["']([a-z_.]+[a-z_])["']/g);
    all(text, /data-t(?:-label)?="([a-z_.]+)"/g, "js.");
  }
  return keys;
}

test("every word the page uses exists", () => {
  const missing = [...used()].filter((key) => !(key in words.en));
  assert.deepEqual(missing, []);
});

test("no word is kept that nobody uses", () => {
  const keys = used();
  const idle = Object.keys(words.en).filter((key) => /^(js|page)\./.test(key) && !keys.has(key));
  assert.deepEqual(idle, []);
});

test("both languages have the same keys and the same places to fill, sorted", () => {
  const places = (lang) =>
    Object.entries(words[lang]).map(([key, text]) => [key, [...text.matchAll(/\{\w+\}/g)].map(String).sort()]);
  assert.deepEqual(places("ja"), places("en"));
  assert.deepEqual(Object.keys(words.en), Object.keys(words.en).toSorted());
});
