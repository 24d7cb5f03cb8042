// Asks for the live part of a page again every few seconds, and says when it is old. A hidden tab asks for nothing.
"use strict";
(() => {
  const EVERY = 5000, OLD = 15000;
  let updated = Date.now();
  const notice = () => document.getElementById("stale");
  const age = () => Math.round((Date.now() - updated) / 1000);
  const show = () => {
    const late = Date.now() - updated > OLD;
    notice().hidden = !late;
    if (late) notice().textContent = `This page is not updated since ${age()} s: the worker does not answer. What you see may be wrong.`;
  };
  const refresh = () => {
    if (document.hidden) return;
    const part = document.querySelector("[data-live]");
    if (!part) return;
    part.dispatchEvent(new CustomEvent("refresh"));
    show();
  };
  document.addEventListener("htmx:after:swap", () => { updated = Date.now(); show(); });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EVERY);
  document.documentElement.dataset.script = "on";
})();
