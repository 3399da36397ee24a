import { setNonce } from 'get-nonce';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { startI18n } from './i18n';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/components.css';

// style tags of Radix carry the nonce of this response, or the policy would refuse them
const meta = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]');
if (meta?.nonce) setNonce(meta.nonce);

void startI18n().then(() => createRoot(document.getElementById('root')!).render(<App />));
