"use strict";
// The run is in the address of the page, after #: so back, reload and links work, and the server keeps nothing. It answers a
// run with what there is to see at its end.
const [view, place, wrong, filter] = ["view", "place", "wrong", "filter"].map((id) => document.getElementById(id));
let latest = 0;

function run() {
  const { hash } = location;
  const said = new URLSearchParams(hash.slice(1));
  return { trace: said.get("in"), about: said.get("about"), path: said.getAll("do") };
}

function go({ trace, about, path }) {
  const said = new URLSearchParams(path.map((action) => ["do", action]));
  if (trace !== null) said.set("in", trace);
  if (about !== null) said.set("about", about);
  location.hash = said;
}

const to = (steps) => go({ ...run(), path: run().path.slice(0, Math.max(steps, 0)) });
const back = () => to(run().path.length - 1);
const take = (action) => go({ ...run(), path: [...run().path, action] });

async function ask(where) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(where, { method: "POST", headers, body: JSON.stringify(run()) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return [text, answer];
}

function complain(error) {
  wrong.hidden = false;
  wrong.textContent = error instanceof TypeError ? "the server has ended" : error.message;
}

async function show() {
  const turn = (latest += 1);
  view.classList.add("old");
  try {
    const [text] = await ask("view");
    // A later one may have been asked for meanwhile.
    if (turn !== latest) return;
    const focused = document.activeElement?.closest(".ways");
    view.innerHTML = text;
    wrong.hidden = true;
    place.textContent = view.querySelector("[data-place]").dataset.place;
    const now = [...view.querySelectorAll(".row")].at(-1);
    now?.classList.add("now");
    now?.scrollIntoView({ block: "nearest" });
    filter.value = "";
    if (focused) view.querySelector("[data-do]")?.focus({ preventScroll: true });
  } catch (error) {
    if (turn !== latest) return;
    place.textContent = `step ${run().path.length}`;
    complain(error);
  }
  view.classList.remove("old");
}

async function save() {
  try {
    const [text, answer] = await ask("trace");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = answer.headers.get("content-disposition").match(/"(.*)"/)[1];
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    complain(error);
  }
}

view.addEventListener("click", ({ target }) => {
  const [way, row] = [target.closest("[data-do]"), target.closest(".row")];
  if (way) take(way.dataset.do);
  else if (row) to(Number(row.dataset.last));
});
view.addEventListener("change", ({ target }) => {
  if (target.name === "about") go({ ...run(), about: target.value });
});
document.getElementById("back").addEventListener("click", back);
document.getElementById("anew").addEventListener("click", () => to(0));
document.getElementById("save").addEventListener("click", save);
filter.addEventListener("input", () => {
  for (const item of view.querySelectorAll("[data-name]")) {
    item.hidden = !item.dataset.name.toLowerCase().includes(filter.value.toLowerCase());
  }
});
document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target === filter) {
    const first = view.querySelector("[data-name]:not([hidden]) > [data-do]");
    if (event.key === "Enter" && first) take(first.dataset.do);
  } else if (event.key === "/" || event.key === "Backspace") {
    event.preventDefault();
    if (event.key === "/") filter.focus();
    else back();
  }
});
addEventListener("hashchange", show);
show();
