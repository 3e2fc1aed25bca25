// Draws the pictures of a report: each when it comes into view, so that the page is there at once; all for printing.
'use strict';
(() => {
  const {compile, parse, View, expressionInterpreter, Handler} = globalThis.unstuckFigures;
  const specs = JSON.parse(document.getElementById('specs').textContent);
  const words = JSON.parse(document.getElementById('words').textContent);
  const say = (sentence) => words[sentence] ?? sentence;
  const text = (value) => String(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
  const tooltip = new Handler({disableDefaultStyle: true, sanitize: text});
  const theme = (narrow) => {
    const ink = {labelColor: 'currentColor', titleColor: 'currentColor', labelOpacity: 0.85, titleFontWeight: 'normal'};
    return {
      aria: false,
      background: null,
      font: 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif',
      view: {stroke: null},
      axis: {...ink, domainColor: 'currentColor', domainOpacity: 0.4, tickColor: 'currentColor', tickOpacity: 0.4,
        gridColor: 'currentColor', gridOpacity: 0.1, labelFontSize: 11, titleFontSize: 12, titlePadding: 8},
      axisY: narrow ? {labelLimit: 150} : {},
      legend: {...ink, labelFontSize: 12, labelLimit: 240, symbolOpacity: 1, columns: narrow ? 1 : 3, rowPadding: 4},
    };
  };
  const most = {labelLimit: 150, gradientLength: 120};
  // Titles of axes in lines of some 26 characters, broken between words.
  const broken = (title) => title.split(' ').reduce((lines, word) => {
    const last = lines.pop();
    return last === undefined ? [word] : last.length + word.length < 26 ? [...lines, `${last} ${word}`] : [...lines, last, word];
  }, []);
  const narrowed = (spec) => JSON.parse(JSON.stringify(spec, (key, value) => {
    if (key in most) return Math.min(value, most[key]);
    return key === 'x' && value?.title?.length > 26 ? {...value, title: broken(value.title)} : value;
  }));

  const upright = (spec) => [spec, ...(spec.layer ?? [])].map((part) => part.encoding?.y?.scale).filter(Boolean);

  const draw = (place) => {
    if (place.dataset.drawn) return;
    place.dataset.drawn = 'yes';
    const width = place.clientWidth || 560;
    const narrow = width < 440;
    let spec = structuredClone(specs[place.dataset.picture]);
    if (narrow) spec = narrowed(spec);
    const chosen = place.dataset.scale;
    if (chosen) {
      for (const scale of upright(spec)) {
        scale.type = chosen;
        if (chosen === 'log') delete scale.zero;
      }
    }
    const shown = {...spec, width, autosize: {type: 'fit-x', contains: 'padding'}, padding: {left: 2, right: 8, top: 4, bottom: 2}};
    try {
      const view = new View(parse(compile(shown, {config: theme(narrow)}).spec, undefined, {ast: true}), {
        expr: expressionInterpreter, renderer: 'svg', container: place, hover: true, tooltip: tooltip.call,
      });
      view.run();
      place.dataset.width = width;
      place.view = view;
      const svg = place.querySelector('svg');
      if (svg) svg.setAttribute('aria-hidden', 'true');
    } catch (problem) {
      place.textContent = say('This picture could not be drawn; its numbers are in the table below.');
      place.dataset.failed = String(problem);
    }
  };
  const again = (place) => {
    if (!place.dataset.drawn) return;
    place.view?.finalize();
    place.replaceChildren();
    delete place.dataset.drawn;
    draw(place);
  };

  const places = [...document.querySelectorAll('.plot')];
  for (const place of places) {
    if (!('switchable' in place.dataset)) continue;
    place.dataset.scale = upright(specs[place.dataset.picture])[0]?.type === 'log' ? 'log' : 'linear';
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'switch';
    const label = () => { button.textContent = place.dataset.scale === 'log' ? say('Linear axis') : say('Logarithmic axis'); };
    label();
    button.addEventListener('click', () => {
      place.dataset.scale = place.dataset.scale === 'log' ? 'linear' : 'log';
      label();
      again(place);
    });
    place.after(button);
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); draw(entry.target); }
  }, {rootMargin: '300px'});
  for (const place of places) watcher.observe(place);

  let waiting = 0;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const place of places) if (place.clientWidth && Math.abs(place.clientWidth - place.dataset.width) > 4) again(place);
    }, 150);
  });
  addEventListener('beforeprint', () => {
    for (const fold of document.querySelectorAll('details.fold')) fold.open = true;
    for (const place of places) draw(place);
  });
  globalThis.unstuckDrawAll = () => { for (const place of places) if (place.clientWidth) draw(place); };
})();
