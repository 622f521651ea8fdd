// Keeps the page current: the server sends parts of it as HTML, which the server has escaped.
"use strict";
(() => {
  const QUIET = 20000; // milliseconds without a sign of life after which nothing here counts as current
  const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
  const key = meta("page-key");
  const said = document.getElementById("connection");
  const escape = (html) => html;
  const policy = window.trustedTypes ? trustedTypes.createPolicy("parts", { createHTML: escape }) : { createHTML: escape };
  let version = meta("page-version");
  let stream = null;
  let ended = false;
  let timer = 0;

  function lost(why) {
    document.documentElement.classList.add("lost");
    said.textContent = why;
  }

  function watch() {
    clearTimeout(timer);
    timer = setTimeout(() => lost("Not current: nothing has been heard of `cloister page` for a while."), QUIET);
  }

  function alive() {
    watch();
    document.documentElement.classList.remove("lost");
    if (said.textContent !== "Updates itself.") said.textContent = "Updates itself.";
  }

  function end(why) {
    ended = true;
    clearTimeout(timer);
    stream.close();
    lost(why);
  }

  // Only the process that made this page knows its key: another one that takes the port later is not believed.
  function parsed(event) {
    const found = JSON.parse(event.data);
    if (found.key === key) return found;
    end("Not current: something else answers at this address. Close this page.");
    return null;
  }

  function addButtons(root) {
    for (const command of root.querySelectorAll("pre.command")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy the command ${command.textContent}`);
      command.append(button);
    }
  }

  function replace(name, html) {
    const part = document.getElementById(name);
    if (!part) return;
    const focused = [...part.querySelectorAll("a, button, [tabindex]")].indexOf(document.activeElement);
    const scrolled = part.querySelector(".scroll")?.scrollLeft ?? 0;
    part.innerHTML = policy.createHTML(html);
    addButtons(part);
    const area = part.querySelector(".scroll");
    if (area) area.scrollLeft = scrolled;
    if (focused >= 0) part.querySelectorAll("a, button, [tabindex]")[focused]?.focus({ preventScroll: true });
  }

  function open() {
    if (stream || ended) return;
    watch();
    stream = new EventSource(`live?since=${encodeURIComponent(version)}`);
    stream.addEventListener("parts", (event) => {
      const found = parsed(event);
      if (!found) return;
      version = event.lastEventId;
      document.title = found.title;
      for (const [name, html] of Object.entries(found.parts)) replace(name, html);
      alive();
    });
    stream.addEventListener("beat", (event) => {
      if (parsed(event)) alive();
    });
    stream.addEventListener("end", (event) => {
      if (parsed(event)) end("Not current: `cloister page` has ended. Start it again, and open the address that it prints.");
    });
    stream.addEventListener("error", () => {
      if (ended) return;
      if (stream.readyState === EventSource.CLOSED) end("Not current: `cloister page` does not answer any longer, or too many pages are open.");
      else lost("Not current: the connection to `cloister page` was lost.");
    });
  }

  // A browser has few connections to one server: hidden pages give theirs back.
  document.addEventListener("visibilitychange", () => {
    if (ended) return;
    if (document.visibilityState === "visible") return open();
    clearTimeout(timer);
    stream?.close();
    stream = null;
    lost("Paused.");
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("pre.command button");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  addButtons(document);
  if (document.visibilityState === "visible") open();
})();
