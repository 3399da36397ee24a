import {
  AtSign, Box, FileText, Globe, Inbox, Laptop, Link2, Mail, Network, Play, Send, UserRound, type LucideIcon,
} from 'lucide-react';
import type { EntityKind, Severity } from '../api/types';

/** Each severity has its own shape, so that colour is never the only sign. */
export function SeverityShape({ severity, size = 14 }: { severity: Severity; size?: number }) {
  const props = { width: size, height: size, viewBox: '0 0 16 16', 'aria-hidden': true as const };
  if (severity === 'high') {
    return (
      <svg {...props}>
        <path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" fill="currentColor" />
        <path d="M8 4v5M8 11.2v.9" stroke="var(--surface)" strokeWidth="2" strokeLinecap="round" />
      </svg>
    );
  }
  if (severity === 'medium') {
    return (
      <svg {...props}>
        <path d="M8 1.4 15.4 14.4H.6z" fill="currentColor" strokeLinejoin="round" stroke="currentColor" />
        <path d="M8 6v4M8 12v.4" stroke="var(--surface)" strokeWidth="1.8" strokeLinecap="round" />
      </svg>
    );
  }
  if (severity === 'low') {
    return (
      <svg {...props}>
        <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" strokeWidth="2" />
        <circle cx="8" cy="8" r="2.4" fill="currentColor" />
      </svg>
    );
  }
  return (
    <svg {...props}>
      <circle cx="8" cy="8" r="6.6" fill="none" stroke="currentColor" strokeWidth="1.5" />
      <path d="M8 7.2v4M8 4.4v.3" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />
    </svg>
  );
}

const ENTITY_ICONS: Record<EntityKind, LucideIcon> = {
  device: Laptop, user: UserRound, mailbox: Inbox, message: Mail, messageCopy: Mail, file: FileText, process: Play,
  ip: Network, domain: Globe, url: Link2, sender: Send, certificate: FileText, subject: Mail,
};

export function EntityIcon({ kind, size = 16 }: { kind: EntityKind; size?: number }) {
  const Icon = ENTITY_ICONS[kind] ?? Box;
  return <Icon size={size} aria-hidden />;
}

export function SenderIcon() {
  return <AtSign size={16} aria-hidden />;
}

export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden>
      <rect width="32" height="32" rx="7" fill="#0F5FB8" />
      <path d="M7 25h18M10 25V13h12v12M8 13l8-6 8 6M16 25v-6" fill="none" stroke="#fff" strokeWidth="2.4" strokeLinecap="round" strokeLinejoin="round" />
      <circle cx="16" cy="15.5" r="1.8" fill="#FFB067" />
    </svg>
  );
}
