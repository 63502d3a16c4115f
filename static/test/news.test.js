/** Claims about what counts as new in a live view. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { News } from "../src/views/news.js";

test("the first look has no news, the next tells what came and what went", () => {
  const news = new News();
  assert.deepEqual(news.take("lab 1", ["a", "b"], 1000), { first: true, came: [], went: [] });
  assert.deepEqual(news.take("lab 1", ["b", "c"], 2000), { first: false, came: ["c"], went: ["a"] });
  assert.equal(news.age("b", 2000), null);
  assert.equal(news.age("c", 5500), 3);
});

test("what is new ages, and a drawing after that still takes the mark off", () => {
  const news = new News();
  news.take("lab 1", [], 0);
  news.take("lab 1", ["a"], 1000);
  assert.equal(news.age("a", 9000), null);
  assert.ok(news.any(9000));
  assert.ok(!news.any(11000));
});

test("after a reset all is new, so nothing is", () => {
  const news = new News();
  news.take("lab 1", ["a"], 1000);
  assert.deepEqual(news.take("lab 2", ["x"], 2000), { first: true, came: [], went: [] });
  assert.ok(!news.any(2000));
});
