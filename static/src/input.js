/** Typed and pasted text as messages of at most 16 KiB of whole UTF-8 characters. */

/** Code units a piece: three bytes each at most (a surrogate pair makes four of two), so below 16 KiB. */
const UNITS = 5000;
const utf8 = new TextEncoder();

/** @param {string} text @returns {Generator<Uint8Array>} */
export function* pieces(text) {
  for (let start = 0; start < text.length; ) {
    let end = Math.min(text.length, start + UNITS);
    const last = text.charCodeAt(end - 1);
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end -= 1; // do not part a surrogate pair
    yield utf8.encode(text.slice(start, end));
    start = end;
  }
}
