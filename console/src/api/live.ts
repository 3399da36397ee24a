// One event stream per tab. An event says only what changed; the matching queries are asked again.
import { useSyncExternalStore } from 'react';
import type { LiveKind, StreamEvent } from './types';

export type LiveState = 'connecting' | 'live' | 'reconnecting';

const KINDS: LiveKind[] = [
  'incident.updated', 'alert.created', 'alert.updated', 'action.updated', 'investigation.progress', 'device.status',
];

/** Routes to ask again for each kind of event. */
export const families: Record<LiveKind, string[]> = {
  'incident.updated': ['/incidents'],
  'alert.created': ['/alerts', '/incidents'],
  'alert.updated': ['/alerts', '/incidents'],
  'action.updated': ['/actions', '/incidents', '/investigations', '/messages', '/mail', '/files', '/indicators', '/pivot'],
  'investigation.progress': ['/investigations', '/incidents', '/alerts'],
  'device.status': ['/devices'],
};

/** Silence after which the stream counts as lost; the server speaks every 15 s. */
export const SILENCE_MS = 20_000;
/** Events within this time cause one round of questions. */
export const COALESCE_MS = 300;

type Listener = () => void;

class Live {
  state: LiveState = 'connecting';
  lastHeard = Date.now();
  private source: EventSource | null = null;
  private listeners = new Set<Listener>();
  private pending = new Set<string>();
  private flushTimer: ReturnType<typeof setTimeout> | null = null;
  private silenceTimer: ReturnType<typeof setInterval> | null = null;

  start(onChange: (routes: string[]) => void) {
    this.stop();
    const source = new EventSource('/api/v1/stream', { withCredentials: true });
    this.source = source;
    const all = () => onChange(Object.values(families).flat());
    const heard = () => {
      this.lastHeard = Date.now();
      if (this.state === 'live') return;
      // what was asked before the stream was open may have missed a change
      all();
      this.set('live');
    };
    source.onopen = heard;
    source.onmessage = heard;
    source.addEventListener('heartbeat', heard);
    // the server cannot say what was missed (it restarted, or this tab read too slowly)
    source.addEventListener('reset', () => {
      heard();
      all();
    });
    source.onerror = () => {
      this.set('reconnecting');
      // a refused stream (session ended, server restarting) is not retried by the browser
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => this.source === source && this.start(onChange), 3_000);
      }
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        heard();
        this.collect(kind, (event as MessageEvent<string>).data, onChange);
      });
    }
    this.silenceTimer = setInterval(() => {
      // comments of the protocol (heartbeats) are invisible here, so an open stream counts as heard
      if (source.readyState === EventSource.OPEN) heard();
      else if (Date.now() - this.lastHeard > SILENCE_MS) this.set('reconnecting');
    }, 5_000);
  }

  stop() {
    this.source?.close();
    this.source = null;
    if (this.silenceTimer) clearInterval(this.silenceTimer);
    this.set('connecting');
  }

  subscribe = (listener: Listener) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private collect(kind: LiveKind, data: string, onChange: (routes: string[]) => void) {
    if (parse(data) === null) return;
    for (const route of families[kind]) this.pending.add(route);
    this.flushTimer ??= setTimeout(() => {
      this.flushTimer = null;
      const routes = [...this.pending];
      this.pending.clear();
      onChange(routes);
    }, COALESCE_MS);
  }

  private set(state: LiveState) {
    if (this.state === state) return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

function parse(data: string): StreamEvent | null {
  try {
    return JSON.parse(data) as StreamEvent;
  } catch {
    return null;
  }
}

export const live = new Live();

export function useLiveState(): LiveState {
  return useSyncExternalStore(live.subscribe, () => live.state);
}
