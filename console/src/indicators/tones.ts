export const TONES = { blockAndRemediate: 'high', block: 'high', warn: 'medium', audit: 'medium', allow: 'ok' } as const;
