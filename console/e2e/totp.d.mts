export const TOTP_STEP_MS: number;
export function totp(base32: string, now: number): string;
