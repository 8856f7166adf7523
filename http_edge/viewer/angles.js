// Joint angles over time: a plot for each joint, left and right together, with a mark at the frame that is shown.

import { colour } from './theme.js';

const HIGHEST_DEGREES = 180;

/** `left_knee` and `right_knee` are two sides of one plot. */
function plots(names) {
  const found = new Map();
  names.forEach((name, index) => {
    const [, side, joint] = /^(left|right)_(.+)$/.exec(name) ?? [null, 'middle', name];
    if (!found.has(joint)) found.set(joint, []);
    found.get(joint).push({ side, index });
  });
  return found;
}

export class Angles {
  constructor(container) {
    this._container = container;
    this._plots = new Map();
    this._asked = false;
    this._wanted = null;
    new ResizeObserver(() => this._wanted && this.draw(...this._wanted)).observe(container);
  }

  /** Show the angles of one track (null: of each frame's primary person). */
  draw(results, trackId, current) {
    this._wanted = [results, trackId, current];
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      this._paint(...this._wanted);
    });
  }

  _paint(results, trackId, current) {
    const wanted = plots(results.angleNames);
    if ([...wanted.keys()].join() !== [...this._plots.keys()].join()) this._make([...wanted.keys()]);
    const poses = results.entries.map(
      (entry) => entry?.people?.find((person) => person.trackId === (trackId ?? entry.primary))?.angles,
    );
    for (const [joint, lines] of wanted) {
      const { canvas, value } = this._plots.get(joint);
      const context = begin(canvas);
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      const step = width / Math.max(1, results.length - results.first - 1);
      const x = (number) => (number - results.first) * step;
      const y = (degrees) => height - 1 - (degrees / HIGHEST_DEGREES) * (height - 2);
      context.strokeStyle = colour('line');
      context.strokeRect(0, y(90), width, 0.01);
      for (const { side, index } of lines) {
        context.strokeStyle = colour(side);
        context.lineWidth = 1.4;
        context.beginPath();
        let drawing = false;
        poses.forEach((angles, number) => {
          if (angles) context[drawing ? 'lineTo' : 'moveTo'](x(number), y(angles[index]));
          drawing = Boolean(angles);
        });
        context.stroke();
      }
      context.fillStyle = colour('text');
      context.fillRect(Math.min(width - 1, x(current)), 0, 1, height);
      const now = poses[current];
      value.textContent = now ? lines.map(({ index }) => `${Math.round(now[index])}°`).join(' · ') : '–';
    }
  }

  _make(joints) {
    this._plots.clear();
    this._container.replaceChildren();
    for (const joint of joints) {
      const figure = document.createElement('figure');
      const caption = document.createElement('figcaption');
      const name = document.createElement('span');
      const value = document.createElement('b');
      const canvas = document.createElement('canvas');
      name.textContent = joint;
      caption.append(name, value);
      figure.append(caption, canvas);
      this._container.append(figure);
      this._plots.set(joint, { canvas, value });
    }
  }
}

function begin(canvas) {
  const ratio = devicePixelRatio;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
