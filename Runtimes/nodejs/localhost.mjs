// Names below `localhost` are this machine (RFC 6761, 6.3), which glibc leaves to a resolver that cells do not have. Events of
// APIs name their API so: `ID.execute-api.localhost:4566`.

import dns from 'node:dns';

const resolved = (name) => (typeof name === 'string' && /\.localhost\.?$/i.test(name) ? 'localhost' : name);

export function resolveLocalhost() {
    const { lookup } = dns;
    const { lookup: promised } = dns.promises;
    dns.lookup = (name, ...more) => lookup(resolved(name), ...more);
    dns.promises.lookup = (name, ...more) => promised(resolved(name), ...more);
}
