/**
 * For who writes lessons: waits for changes of the files, loads the page again, and shows the mistakes in a corner.
 * A lesson that cannot be read any more stays on the screen as it was; so do the terminals of a page that is loaded again.
 */
const tag = /** @type {HTMLScriptElement} */ (document.querySelector("script[data-news]"));
const { news, lang } = tag.dataset;
const quiet = "quiet" in tag.dataset; // the page of mistakes shows them itself
const slug = /\/lessons\/([^/]+)/.exec(location.pathname)?.[1];

const corner = document.createElement("details");
corner.className = "author-corner";
corner.lang = lang ?? "en";
corner.setAttribute("role", "status");

/** @param {{title: string, mistakes: {text: string, href: string}[]}} found */
function show(found) {
  const summary = document.createElement("summary");
  summary.textContent = found.title;
  const list = document.createElement("ul");
  for (const mistake of found.mistakes) {
    const link = document.createElement("a");
    link.href = mistake.href;
    link.textContent = mistake.text;
    list.append(document.createElement("li"));
    list.lastElementChild?.append(link);
  }
  corner.replaceChildren(summary, list);
  corner.dataset.wrong = String(found.mistakes.length > 0);
  if (!quiet && !corner.isConnected) document.body.append(corner);
}

let seen = -1;
for (;;) {
  try {
    const answer = await fetch(`${news}?seen=${seen}&lang=${lang}`);
    const found = await answer.json();
    const lost = found.broken.includes(slug);
    if (seen !== -1 && found.revision !== seen && !lost) location.reload();
    if (found.revision !== seen) show(found);
    seen = found.revision;
  } catch {
    seen = -2; // the server is away: when it is back, everything may have changed
    await new Promise((done) => setTimeout(done, 1000));
  }
}
