"use strict";
// Shows what is true after one step. Without this script the page shows everything.
const slider = document.getElementById("step");
const here = document.getElementById("here");
const whole = document.getElementById("whole");
const last = Number(slider.max);

function show(wanted) {
  const step = Math.min(Math.max(Math.trunc(wanted) || 0, 0), last);
  slider.value = step;
  here.textContent = step === 0 ? `beginning (${last} steps)` : `step ${step} of ${last}`;
  here.hash = `step-${step}`;
  for (const part of document.querySelectorAll("[data-from]")) {
    part.hidden = step < Number(part.dataset.from) || step >= Number(part.dataset.until);
    part.classList.toggle("fresh", Number(part.dataset.changed) === step);
  }
  for (const row of document.querySelectorAll(".row")) {
    const isNow = Number(row.dataset.first) <= step && step <= Number(row.dataset.last);
    row.classList.toggle("now", isNow);
    if (isNow && row.getClientRects().length > 0) row.scrollIntoView({ block: "nearest" });
  }
  history.replaceState(null, "", `#step-${step}`);
}

const now = () => Number(slider.value);
const linked = () => show(Number(location.hash.replace("#step-", "")));

slider.addEventListener("input", () => show(now()));
for (const button of document.querySelectorAll("button[data-by]")) {
  button.addEventListener("click", () => show(now() + Number(button.dataset.by)));
}
for (const row of document.querySelectorAll(".row")) {
  row.addEventListener("click", () => show(Number(row.dataset.first)));
}
whole?.addEventListener("change", () => {
  document.getElementById("folded").hidden = whole.checked;
  document.getElementById("unfolded").hidden = !whole.checked;
  show(now());
});
document.addEventListener("keydown", (event) => {
  if (event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
  const to = { ArrowLeft: now() - 1, ArrowRight: now() + 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  show(to);
});
addEventListener("hashchange", linked);
document.querySelector("nav").hidden = false;
linked();
