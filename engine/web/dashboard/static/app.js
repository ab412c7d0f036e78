// Relative times stay right, copy buttons copy. Everything else is HTML, htmx and the server.
(() => {
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  const relative = (seconds) => {
    const size = Math.abs(seconds);
    const unit = UNITS.find(([length]) => size >= length);
    const text = unit ? `${Math.floor(size / unit[0])} ${unit[1]}` : `${Math.max(0, Math.floor(size))} s`;
    return seconds < 0 ? `in ${text}` : size < 2 ? "just now" : `${text} ago`;
  };
  const refresh = () => {
    for (const node of document.querySelectorAll("time[data-relative]")) {
      const text = relative((Date.now() - Date.parse(node.dateTime)) / 1000);
      if (node.textContent !== text) node.textContent = text;
    }
  };
  for (const box of document.querySelectorAll("[data-newest]")) box.scrollLeft = box.scrollWidth; // on a phone
  setInterval(refresh, 5000);
  document.addEventListener("htmx:after:swap", refresh);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });
})();
