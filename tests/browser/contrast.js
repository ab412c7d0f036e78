// Texts whose contrast is below WCAG AA (4.5, or 3 for large text), as [ratio, text, class].
() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const luminance = ({ r, g, b }) => {
    const part = (value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.a > 0) return color;
    }
    return { r: 255, g: 255, b: 255, a: 1 };
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const node = walker.currentNode.parentElement;
    if (!text || !node.checkVisibility() || node.closest("svg, option, .sr")) continue;
    const style = getComputedStyle(node);
    const back = behind(node);
    const front = parse(style.color);
    const opacity = Number(style.opacity);
    const mixed = {};
    for (const key of ["r", "g", "b"]) mixed[key] = front[key] * opacity + back[key] * (1 - opacity);
    const [a, b] = [luminance(mixed), luminance(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) low.push([ratio.toFixed(2), text.slice(0, 40), node.className]);
  }
  return low;
};
