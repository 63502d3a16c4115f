/**
 * Lets xterm.js live under a CSP without 'unsafe-inline'.
 *
 * xterm.js 6.0 makes three <style> elements without a nonce (Viewport.ts, DomRenderer.ts; xterm.js #4445) and writes
 * colours with setAttribute("style", …) (DomRendererRowFactory.ts), which style-src-attr forbids, while the same text
 * through element.style is allowed (CSP level 3, section "Does a source list allow all inline behavior"). So: put the
 * page's nonce on each <style> before it is inserted, and send that one attribute through the CSSOM.
 * Must be imported before @xterm/xterm. Weakens nothing: only scripts already trusted by the nonce can call it.
 */

const nonce = /** @type {HTMLScriptElement | null} */ (document.querySelector("script[nonce]"))?.nonce ?? "";

const createElement = document.createElement.bind(document);
/** @type {typeof document.createElement} */
document.createElement = (/** @type {string} */ name, /** @type {ElementCreationOptions | undefined} */ options) => {
  const element = createElement(name, options);
  if (element instanceof HTMLStyleElement) element.nonce = nonce;
  return element;
};

const setAttribute = Element.prototype.setAttribute;
HTMLElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};
