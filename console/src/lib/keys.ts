// Single-letter keys. They can be switched off, and never act while somebody types.
import { useEffect, useRef } from 'react';

const SETTING = 'hinomi.keys';

export function lettersOn(): boolean {
  try {
    return localStorage.getItem(SETTING) !== 'off';
  } catch {
    return true;
  }
}

export function setLetters(on: boolean) {
  try {
    localStorage.setItem(SETTING, on ? 'on' : 'off');
  } catch {
    // storage is switched off: the default stays
  }
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}

export type Keys = Record<string, (event: KeyboardEvent) => void>;

/** `g i` is written as `g i`; the second letter must follow within this time. */
const CHORD_MS = 1_200;

export function useKeys(keys: Keys, active = true) {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    if (!active) return;
    let first = '';
    let firstAt = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key.length === 1 && !lettersOn()) return;
      if (document.querySelector('[role="dialog"],[role="alertdialog"],[role="menu"]')) return;
      const chord = first && Date.now() - firstAt < CHORD_MS ? `${first} ${event.key}` : '';
      const act = (chord && latest.current[chord]) || latest.current[event.key];
      first = event.key;
      firstAt = Date.now();
      if (!act) return;
      event.preventDefault();
      act(event);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [active]);
}
