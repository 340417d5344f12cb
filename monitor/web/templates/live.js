"use strict";
// Fetches the page again every few seconds, and puts its parts in the place of those that stand here. What has the
// keyboard's focus is left alone, and what was opened stays open. Without this script the page is whole, only not live.
(() => {
  const EVERY = 5000, SLOWEST = 60000, PATIENCE = 20000;
  const lost = document.getElementById("lost"), read = document.getElementById("read");
  const shown = new Map();
  let wait = EVERY, timer = 0;

  function local(part) {
    for (const time of part.querySelectorAll("time")) {
      time.title = new Date(time.dateTime).toLocaleString();
    }
  }

  function put(part, fresh) {
    const html = fresh.innerHTML;
    if (shown.get(part.id) === html || part.contains(document.activeElement)) return;
    for (const details of part.querySelectorAll("details[open]")) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
    part.className = fresh.className;
    part.replaceChildren(...fresh.childNodes);
    local(part);
    shown.set(part.id, html);
  }

  async function look() {
    // A daemon that hangs answers nothing at all: figures that are no longer live must not look so.
    const giving = new AbortController(), hung = setTimeout(() => giving.abort(), PATIENCE);
    let answer, text;
    try {
      answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: giving.signal });
      text = await answer.text();
    } finally {
      clearTimeout(hung);
    }
    const page = new DOMParser().parseFromString(text, "text/html");
    if (!answer.ok) throw new Error(answer.status);
    if (page.documentElement.dataset.build !== document.documentElement.dataset.build) location.reload();
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      if (fresh) put(part, fresh);
    }
    document.title = page.title;
    read.textContent = page.getElementById("read").textContent;
  }

  async function turn() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      await look();
      wait = EVERY;
      lost.hidden = true;
    } catch {
      wait = Math.min(2 * wait, SLOWEST);
      lost.hidden = false;
    }
    timer = setTimeout(turn, wait);
  }

  local(document);
  document.addEventListener("visibilitychange", turn);
  timer = setTimeout(turn, EVERY);
})();
