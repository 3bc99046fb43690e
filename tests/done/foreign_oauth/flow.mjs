// Drives the whole code flow with openid-client, as a bank's system would. Reads its task as JSON from standard input and
// writes what it saw as JSON. Errors of the library end the program: it checks the answers itself.

import * as client from 'openid-client'

const task = JSON.parse(await new Response(process.stdin).text())
const ALGORITHMS = {
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
}

const key = await crypto.subtle.importKey('jwk', task.key, ALGORITHMS[task.algorithm], false, ['sign'])
const config = await client.discovery(
  new URL(task.issuer), task.clientId, {}, client.PrivateKeyJwt(key),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] },
)
const DPoP = client.getDPoPHandle(
  config, await client.randomDPoPKeyPair(task.algorithm === 'EdDSA' ? 'Ed25519' : task.algorithm),
)

const pkceCodeVerifier = client.randomPKCECodeVerifier()
const state = client.randomState()
const page = await client.buildAuthorizationUrlWithPAR(config, {
  redirect_uri: task.redirectUri,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256',
  state,
  authorization_details: JSON.stringify(task.details),
}, { DPoP })

// The person's browser: two plain requests, no script.
const cookie = { cookie: task.cookie }
const shown = await fetch(page, { headers: cookie, redirect: 'manual' })
const html = await shown.text()
const form = new URLSearchParams()
for (const [, name, value] of html.matchAll(/<input type="hidden" name="([a-z_]+)" value="([^"]*)">/g)) form.append(name, value)
for (const [, value] of html.matchAll(/name="part" value="([^"]*)"/g)) form.append('part', value)
form.append('heightened', 'yes')
form.append('decision', 'yes')
const answered = await fetch(new URL('/oauth2/authorize', task.issuer), {
  method: 'POST', body: form, headers: cookie, redirect: 'manual',
})
const back = new URL(answered.headers.get('location'))

const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier, expectedState: state }, undefined, { DPoP })
const [, body] = tokens.access_token.split('.')
const claims = JSON.parse(Buffer.from(body, 'base64url'))

async function ask(token) {
  const query = 'query($i: BorrowerProfileInput!) { borrowerProfile(input: $i) { ... on BorrowerProfile { borrowerId identity { name } } } }'
  const i = { borrower: { borrowerId: claims.sub }, purpose: 'LOAN_APPLICATION', officer: 'officer.li' }
  const reply = await client.fetchProtectedResource(
    config, token, new URL('/graphql', task.issuer), 'POST', JSON.stringify({ query, variables: { i } }),
    new Headers({ 'content-type': 'application/json' }), { DPoP },
  )
  return reply.json()
}

const profile = await ask(tokens.access_token)
const before = await client.tokenIntrospection(config, tokens.access_token)
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
const again = await ask(renewed.access_token)
await client.tokenRevocation(config, tokens.refresh_token)
const after = await client.tokenIntrospection(config, renewed.access_token)

console.log(JSON.stringify({
  notice: html.includes('请求查询您的信用信息'), tokenType: tokens.token_type, claims, details: tokens.authorization_details,
  profile, again, before, renewed: { rotated: renewed.refresh_token !== undefined, type: renewed.token_type }, after,
}))
