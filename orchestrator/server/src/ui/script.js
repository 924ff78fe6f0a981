// Keeps a page as the server would make it now. Without this script a page shows what was so when it was asked for.
"use strict";

const main = document.querySelector("main");
const link = document.getElementById("link");
const log = document.querySelector(".log[data-task]");
const follow = document.getElementById("follow");
let timer = 0;
let wanted = false;
let busy = false;

function say(text, off) {
  link.textContent = text;
  link.className = off ? "off" : "";
}

// Whether somebody is in the middle of something there.
function inUse(part) {
  const focus = document.activeElement;
  return part.querySelector("details[open]") || (part.contains(focus) && focus.matches("input, select, button"));
}

function swap(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!next || part.innerHTML === next.innerHTML || inUse(part)) continue;
    const href = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const scrolled = [...part.querySelectorAll(".wide, .picture")].map((it) => [it.scrollLeft, it.scrollTop]);
    part.replaceChildren(...document.adoptNode(next).childNodes);
    part.className = next.className;
    part.querySelectorAll(".wide, .picture").forEach((it, at) => {
      if (scrolled[at]) [it.scrollLeft, it.scrollTop] = scrolled[at];
    });
    if (href) [...part.querySelectorAll("a")].find((it) => it.getAttribute("href") === href)?.focus();
  }
}

// Asks again, and then rests for twenty times as long as that took to the last pixel, so that watching stays cheap.
async function refresh() {
  wanted = true;
  if (busy || document.hidden) return;
  busy = true;
  const began = performance.now();
  try {
    wanted = false;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.status === 503) throw new Error("away");
    if (answer.redirected) return location.reload();
    if (!main.querySelector("[data-part]")) return location.reload();
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    swap(fresh);
    // The next frame comes when this one is drawn.
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    const { live, every } = fresh.querySelector("main").dataset;
    if (!live && !every) clearInterval(timer);
    say(live || every ? "live" : "");
  } catch {
    wanted = true;
    say("not connected, trying again", true);
  }
  setTimeout(() => {
    busy = false;
    if (wanted) refresh();
  }, Math.max(1000, 20 * (performance.now() - began)));
}

function append(line) {
  if (!log || line.task !== log.dataset.task || line.number <= Number(log.dataset.last)) return;
  log.dataset.last = line.number;
  if (!line.text.toLowerCase().includes(log.dataset.search.toLowerCase())) return;
  const row = document.createElement("li");
  const at = document.createElement("time");
  const from = document.createElement("span");
  const text = document.createElement("bdi");
  at.textContent = line.at.slice(11, 23);
  from.className = "from";
  from.textContent = `#${line.attempt} ${line.stream}`;
  text.className = line.stream;
  text.textContent = line.text;
  row.append(at, from, text);
  log.append(row);
  while (log.children.length > 5000) log.firstChild.remove();
  if (!follow || follow.checked) log.scrollTop = log.scrollHeight;
}

function listen(address) {
  const stream = new EventSource(address);
  stream.onopen = () => say("live");
  stream.onerror = () => {
    say("not connected, trying again", true);
    if (stream.readyState !== EventSource.CLOSED) return;
    // No browser comes back to a stream that was refused. The page itself knows whether it is history.
    timer = setInterval(refresh, 5000);
    refresh();
  };
  for (const name of main.dataset.events.split(" ")) stream.addEventListener(name, refresh);
  stream.addEventListener("log", (event) => append(JSON.parse(event.data)));
  stream.addEventListener("run_closed", () => {
    stream.close();
    say("");
  });
}

if (main.dataset.live) listen(main.dataset.live);
if (main.dataset.every) setInterval(refresh, Number(main.dataset.every));
document.addEventListener("visibilitychange", () => wanted && refresh());
if (log) log.scrollTop = log.scrollHeight;
