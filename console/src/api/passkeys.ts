// WebAuthn: the server speaks JSON with base64url, browsers want buffers.
import { post } from './client';
import type { PasskeyChallenge } from './types';

export function toBuffer(text: string): ArrayBuffer {
  const base64 = text.replaceAll('-', '+').replaceAll('_', '/');
  const raw = atob(base64.padEnd(Math.ceil(base64.length / 4) * 4, '='));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0)).buffer;
}

export function fromBuffer(buffer: ArrayBuffer): string {
  const raw = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('');
  return btoa(raw).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

type Json = Record<string, unknown>;

/** What the browser is asked for; some servers wrap it in `publicKey`. */
function publicKeyOf({ options }: PasskeyChallenge): Json {
  return ((options as Json).publicKey as Json | undefined) ?? (options as Json);
}

const descriptors = (list: unknown) =>
  ((list as { id: string; type: 'public-key' }[] | undefined) ?? []).map((item) => ({
    type: item.type,
    id: toBuffer(item.id),
  }));

async function create(challenge: PasskeyChallenge): Promise<Json> {
  const options = publicKeyOf(challenge) as Json & { user: Json };
  const credential = (await navigator.credentials.create({
    publicKey: {
      ...(options as unknown as PublicKeyCredentialCreationOptions),
      challenge: toBuffer(options.challenge as string),
      user: { ...(options.user as unknown as PublicKeyCredentialUserEntity), id: toBuffer(options.user.id as string) },
      excludeCredentials: descriptors(options.excludeCredentials),
    },
  })) as PublicKeyCredential;
  const response = credential.response as AuthenticatorAttestationResponse;
  return {
    id: credential.id,
    rawId: fromBuffer(credential.rawId),
    type: credential.type,
    extensions: {},
    response: {
      attestationObject: fromBuffer(response.attestationObject),
      clientDataJSON: fromBuffer(response.clientDataJSON),
    },
  };
}

async function prove(challenge: PasskeyChallenge): Promise<Json> {
  const options = publicKeyOf(challenge);
  const credential = (await navigator.credentials.get({
    publicKey: {
      ...(options as unknown as PublicKeyCredentialRequestOptions),
      challenge: toBuffer(options.challenge as string),
      allowCredentials: descriptors(options.allowCredentials),
    },
  })) as PublicKeyCredential;
  const response = credential.response as AuthenticatorAssertionResponse;
  return {
    id: credential.id,
    rawId: fromBuffer(credential.rawId),
    type: credential.type,
    extensions: {},
    response: {
      authenticatorData: fromBuffer(response.authenticatorData),
      clientDataJSON: fromBuffer(response.clientDataJSON),
      signature: fromBuffer(response.signature),
      userHandle: response.userHandle ? fromBuffer(response.userHandle) : null,
    },
  };
}

export const passkeysAvailable = () => typeof window.PublicKeyCredential === 'function';

export async function registerPasskey(name: string): Promise<void> {
  const challenge = await post<PasskeyChallenge>('/auth/passkeys/register/start', {});
  await post('/auth/passkeys/register/finish', {
    ceremony: challenge.ceremony, name, credential: await create(challenge),
  });
}

export async function loginByPasskey(name: string): Promise<void> {
  const challenge = await post<PasskeyChallenge>('/auth/passkeys/login/start', { name });
  await post('/auth/passkeys/login/finish', { ceremony: challenge.ceremony, credential: await prove(challenge) });
}

export async function stepUpByPasskey(): Promise<void> {
  const challenge = await post<PasskeyChallenge>('/auth/step-up/passkey/start', {});
  await post('/auth/step-up/passkey/finish', { ceremony: challenge.ceremony, credential: await prove(challenge) });
}
