// The operators' page: what /health, /metrics and /api/pose/pool-status say, asked every second while it is in view.

import { parse, quantile, sumOf, valueOf } from './prometheus.js';
import { colour, initialiseTheme } from './theme.js';
import { authorization, initialiseToken, isRefusal, token } from './token.js';

const EVERY_MS = 1000;
const KEPT_S = 180;
const RECENT_S = 60;
const MIB = 2 ** 20;

const $ = (id) => document.getElementById(id);
const history = []; // {atMs, samples, framesPerSecond, waiting}, oldest first

async function look() {
  if (document.hidden) return;
  try {
    const [health, text, pool] = await Promise.all([
      ask('/health').then((answer) => answer.json()),
      ask('/metrics').then((answer) => answer.text()),
      ask('/api/pose/pool-status').then((answer) => answer.json()),
    ]);
    remember(parse(text));
    show(health, pool);
  } catch (error) {
    tell('not_ready', `the service does not answer (${error.message})`);
  }
}

async function ask(path) {
  const answer = await fetch(path, { headers: authorization(token()) });
  $('access').hidden = $('access').hidden && !isRefusal(answer.status);
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer;
}

const framesDone = (samples) => sumOf(samples, 'everyframe_stage_seconds_count', ({ stage }) => stage === 'observe');

function remember(samples) {
  const atMs = performance.now();
  const last = history.at(-1);
  const done = last ? framesDone(samples) - framesDone(last.samples) : 0;
  const framesPerSecond = last ? Math.max(0, done) / ((atMs - last.atMs) / 1e3) : 0;
  history.push({ atMs, samples, framesPerSecond, waiting: valueOf(samples, 'everyframe_queue_frames') ?? 0 });
  while (history.length > KEPT_S) history.shift();
}

function show(health, pool) {
  const now = history.at(-1);
  const before = history.find(({ atMs }) => now.atMs - atMs <= RECENT_S * 1e3) ?? now;
  const seconds = Math.max(1, (now.atMs - before.atMs) / 1e3);
  const value = (name, labels) => valueOf(now.samples, name, labels);
  const limit = (name) => value('everyframe_limit', { name });
  tell(health.status, health.ready ? 'ready' : health.error ?? health.status);
  facts('health', {
    state: health.status,
    observer: health.backend ?? '–',
    tracker: health.tracker ?? '–',
    device: health.device ?? '–',
    'workers ready': `${health.workers} of ${pool.pool?.max_workers ?? '?'}`,
    'broker': value('everyframe_broker_up') ? 'answers' : 'silent',
  });
  facts('traffic', {
    'now': now.framesPerSecond.toFixed(1),
    'last minute': ((framesDone(now.samples) - framesDone(before.samples)) / seconds).toFixed(1),
    'HTTP requests open': value('everyframe_http_in_flight') ?? '–',
  });
  facts('queue', {
    'frames': `${now.waiting} of ${limit('max_queue_frames') ?? '?'}`,
    'MiB': `${((value('everyframe_queue_bytes') ?? 0) / MIB).toFixed(1)} of ${((limit('max_queue_bytes') ?? 0) / MIB).toFixed(0)}`,
    'with workers': value('everyframe_in_flight') ?? '–',
    'sessions': `${value('everyframe_sessions') ?? '–'} of ${limit('max_sessions') ?? '?'}`,
    'unnamed videos': value('everyframe_streams') ?? '–',
  });
  facts('videos', {
    'waiting': pool.queue?.length ?? '–',
    'estimated wait': `${Math.round(pool.queue?.estimated_wait_time_seconds ?? 0)} s`,
    'being worked on': value('everyframe_video_jobs', { status: 'processing' }) ?? '–',
  });
  showWorkers(now.samples);
  showStages(now.samples, before.samples);
  showRequests(now.samples, before.samples, seconds);
  showCounters(now.samples);
  drawPlots();
}

function showWorkers(samples) {
  const names = (samples.get('everyframe_store_sessions') ?? []).map(({ labels }) => labels.worker);
  table('workers', ['worker', 'sessions stored', 'MiB', 'restored', 'cold', 'failed writes'], names.map((worker) => {
    const event = (kind) => valueOf(samples, 'everyframe_store_events_total', { worker, event: kind }) ?? 0;
    const used = (valueOf(samples, 'everyframe_store_bytes', { worker }) ?? 0) / MIB;
    const sessions = valueOf(samples, 'everyframe_store_sessions', { worker });
    return [worker, sessions, used.toFixed(1), event('restored'), event('cold'), event('failed_writes')];
  }));
}

function showStages(now, before) {
  const stages = (now.get('everyframe_stage_seconds_count') ?? []).map(({ labels }) => labels.stage);
  table('stages', ['stage', 'median', '95 of 100 under'], stages.map((stage) => [
    stage, ...[0.5, 0.95].map((share) => milliseconds(quantile(now, before, 'everyframe_stage_seconds', { stage }, share))),
  ]));
}

function showRequests(now, before, seconds) {
  const rows = (now.get('everyframe_http_requests_total') ?? []).map(({ labels, value }) => {
    const rate = (value - (valueOf(before, 'everyframe_http_requests_total', labels) ?? 0)) / seconds;
    const endpoint = { endpoint: labels.endpoint };
    const time = quantile(now, before, 'everyframe_http_request_seconds', endpoint, 0.95);
    return [labels.endpoint, labels.status, value, rate.toFixed(1), milliseconds(time)];
  });
  table('requests', ['path', 'status', 'in all', 'per second', '95 of 100 under'], rows);
}

function showCounters(samples) {
  const rows = (name, label) => (samples.get(name) ?? []).map(({ labels, value }) => [labels[label], value]);
  table('found', ['people', 'frames'], [
    ...rows('everyframe_people_total', 'state'),
    ['nobody', valueOf(samples, 'everyframe_frames_without_person_total') ?? 0],
    ...rows('everyframe_contradictions_total', 'kind'),
  ]);
  table('events', ['event', 'times'], rows('everyframe_broker_events_total', 'event').filter(([, times]) => times > 0));
}

const milliseconds = (seconds) => (seconds === null ? '–' : `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms`);

function tell(state, text) {
  $('service').dataset.state = state;
  $('service').textContent = text;
}

function facts(id, pairs) {
  $(id).replaceChildren(...Object.entries(pairs).map(([name, content]) => {
    const pair = document.createElement('div');
    pair.append(element('dt', name), element('dd', content));
    return pair;
  }));
}

function table(id, head, rows) {
  const line = (kind, cells) => {
    const row = document.createElement('tr');
    row.append(...cells.map((cell) => element(kind, cell)));
    return row;
  };
  const empty = rows.length ? [] : [line('td', ['nothing yet', ...head.slice(1).map(() => '')])];
  $(id).replaceChildren(line('th', head), ...rows.map((row) => line('td', row)), ...empty);
}

function element(kind, content) {
  const made = document.createElement(kind);
  made.textContent = String(content);
  return made;
}

function drawPlots() {
  plot($('rate-plot'), history.map(({ framesPerSecond }) => framesPerSecond));
  plot($('queue-plot'), history.map(({ waiting }) => waiting));
}

/** The last `KEPT_S` values, the newest at the right; the highest reaches the top. */
function plot(canvas, values) {
  const ratio = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const highest = Math.max(1, ...values);
  context.fillStyle = colour('faint');
  context.font = '10px system-ui, sans-serif';
  context.fillText(String(Math.round(highest)), 2, 10);
  context.strokeStyle = colour('accent');
  context.lineWidth = 1.5;
  context.beginPath();
  values.forEach((value, i) => {
    const x = width - ((values.length - 1 - i) * width) / (KEPT_S - 1);
    context.lineTo(x, height - 1 - (value / highest) * (height - 14));
  });
  context.stroke();
}

initialiseTheme($('theme'), drawPlots);
initialiseToken($('access'), look);
look();
setInterval(look, EVERY_MS);
