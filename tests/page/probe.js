/* Put into a page under test, behind its own scripts: does with it what its frame's name asks for, by the real
 * buttons and keys, and tells the page around it what it saw. */

const probe = {
  /* Everything a test compares, as it stands in the document. */
  look() {
    const tasks = (inside) => [...document.querySelectorAll(inside)].map((chip) => Number(chip.dataset.task));
    const all = (rows, see) => [...document.querySelectorAll(rows)].map(see);
    const within = (row, inside) => [...row.querySelectorAll(inside)].map((chip) => Number(chip.dataset.task));
    return {
      position: Number(document.body.dataset.position),
      running: tasks("#running .task"),
      queue: tasks("#ready .task"),
      names: all("#ready .task", (chip) => chip.textContent),
      stages: all("#tasks [data-row]", (row) => [Number(row.dataset.row), row.dataset.stage]),
      timers: all(".level .mark", (mark) =>
        [mark.closest(".level"), mark].map((part) => part.dataset).map((data) => data.level ?? data.slot)
          .concat(mark.dataset.timers).map(Number)).sort((one, other) => one[0] - other[0] || one[1] - other[1]),
      deadlines: all("#wheel .deadline", (row) => [Number(row.dataset.tick), within(row, ".task")]),
      locks: all("#locks [data-thing]", (row) =>
        [row.dataset.thing, within(row, ".holders .task"), within(row, ".waiters .task")]),
      world: all("#world [data-thing]", (row) => row.dataset.thing),
      output: all("#output .said", (line) => line.textContent),
      step: all("#steps li", (row, index) => (row.classList.contains("current") ? index + 1 : 0)).find(Boolean) || 0,
      source: document.querySelector("#source .here")?.textContent || "",
      caption: document.querySelector("#caption").textContent,
      count: document.querySelector("#count").textContent,
      panels: all("section[id^=panel]", (panel) => (panel.offsetParent === null ? "" : panel.id.slice(6))).filter(Boolean),
      reasons: all("#tasks .reason", (reason) => reason.textContent).filter(Boolean),
      holders: all("#locks .holders", (holders) => holders.textContent),
      loop: document.querySelector("#loop").textContent,
      tasks: document.querySelector("#panel-tasks h2").textContent,
    };
  },

  click(id) {
    document.getElementById(id).click();
    return probe.look();
  },

  press(key) {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    return probe.look();
  },

  slide(position) {
    const slider = document.getElementById("slider");
    slider.value = position;
    slider.dispatchEvent(new Event("input"));
    return probe.look();
  },

  inOtherLanguage() {
    const { caption } = probe.click("language");
    const { lang } = document.documentElement;
    const wide = probe.isTooWide();
    probe.click("language");
    return { caption, lang, wide };
  },

  isTooWide: () => document.documentElement.scrollWidth > window.innerWidth,
};

const asked = {
  /* Every event forward by the button, and back again. */
  walk() {
    const { lang } = document.documentElement;
    const forward = [probe.look()];
    while (!document.getElementById("forward").disabled) forward.push(probe.click("forward"));
    const back = [probe.look()];
    while (!document.getElementById("back").disabled) back.push(probe.click("back"));
    return { lang, forward, back };
  },

  /* Every event in both languages. */
  both() {
    const { lang } = document.documentElement;
    const forward = [probe.look()];
    const other = [probe.inOtherLanguage()];
    const wide = [];
    while (!document.getElementById("forward").disabled) {
      forward.push(probe.click("forward"));
      if (probe.isTooWide()) wide.push(probe.look().position);
      other.push(probe.inOtherLanguage());
    }
    return { lang, forward, other, wide, width: window.innerWidth };
  },

  /* Here and there, by the slider, the keys, the ends' buttons and the list. */
  jumps() {
    const seen = [2500, 999, 1000, 1001, 1, 2001].map(probe.slide);
    for (const key of ["End", "ArrowLeft", "ArrowLeft", "Home", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp"]) {
      seen.push(probe.press(key));
    }
    seen.push(probe.click("last"), probe.click("first"), probe.slide(1200));
    const rows = [...document.querySelectorAll("#events button")];
    const chosen = rows.find((row) => Number(row.dataset.position) === 1203);
    chosen.click();
    seen.push(probe.look());
    return { seen, rows: rows.length };
  },

  /* Plays to the end, at a speed that goes on by several events at once. The clock is the probe's: nobody waits. */
  play() {
    let tick = null;
    window.setInterval = (callback) => { tick = callback; return 1; };
    window.clearInterval = () => { tick = null; };
    const starts = probe.look().position;
    const speed = document.getElementById("speed");
    probe.press(" ");
    const seen = [];
    while (tick !== null) {
      tick();
      seen.push(probe.look().position);
      if (seen.length === 10) {
        speed.value = "1000";
        speed.dispatchEvent(new Event("change"));
      }
    }
    return { starts, seen, caption: document.getElementById("play").title };
  },

  /* Whatever both languages have, they have under the same names. */
  words() {
    const names = (words, above = "") => Object.entries(words).flatMap(([key, value]) =>
      (value !== null && typeof value === "object" ? names(value, above + key + ".") : [above + key]));
    return { en: names(WORDS.en), zh: names(WORDS.zh) };
  },
};

/* The frame's address says what to do, after what the page itself reads there: #lang=en&probe=walk */
addEventListener("load", () => {
  const wish = new URLSearchParams(location.hash.slice(1)).get("probe");
  const saw = errors.length > 0 ? null : asked[wish]();
  parent.postMessage({ name: window.name, errors, saw }, "*");
});
