// Lets functions reach the APIs of this machine by the names that programs make for them.
//
// Names below `localhost` are this machine (RFC 6761, 6.3), which glibc leaves to a resolver that cells do not have. Events of
// APIs name their API so: `ID.execute-api.localhost:4566`. Without a port such a name means Martlet's, and not 80 or 443. AWS's own
// names of APIs are Martlet's where there is no network in which anybody else could have them.

import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import tls from 'node:tls';

const martlet = Number(/:(\d+)\/*$/.exec(process.env.AWS_ENDPOINT_URL ?? '')?.[1] ?? 0);
let alone; // whether this cell has no network but its own loopback

function isAlone() {
    alone ??= Object.values(os.networkInterfaces()).flat().every((one) => one.internal);
    return alone;
}

/** Whether it is the name of an API that Martlet serves. */
function isApi(name) {
    if (typeof name !== 'string') return false;
    if (/\.execute-api\.localhost\.?$/i.test(name)) return true;
    return /\.execute-api\.[a-z0-9-]+\.amazonaws\.com\.?$/i.test(name) && isAlone();
}

function resolved(name) {
    return typeof name === 'string' && /\.localhost\.?$/i.test(name) || isApi(name) ? 'localhost' : name;
}

export function reachApis() {
    const { lookup } = dns;
    const { lookup: promised } = dns.promises;
    dns.lookup = (name, ...more) => lookup(resolved(name), ...more);
    dns.promises.lookup = (name, ...more) => promised(resolved(name), ...more);
    choosePort();
    leaveOutTls();
    syncBuiltinESMExports(); // for who imports the functions by their names
}

/**
 * `net.connect` and all that is made of it end in this method, with one list of normalized arguments. Programs call it with
 * options, or with a port and a name.
 */
function choosePort() {
    const { connect } = net.Socket.prototype;
    net.Socket.prototype.connect = function (...all) {
        const isList = Array.isArray(all[0]);
        const first = isList ? all[0][0] : all[0];
        const { port, host } = typeof first === 'object' && first !== null ? first : { port: first, host: all[1] };
        const isUsual = port == 80 || port == 443; // also as texts
        if (martlet && isUsual && isApi(host)) {
            const chosen = typeof first === 'object' ? { ...first, port: martlet } : martlet;
            if (isList) all[0][0] = chosen;
            else all[0] = chosen;
        }
        return connect.apply(this, all);
    };
}

/**
 * Lets `https://`, which programs write before such a name, go on without TLS: Martlet listens inside the cell without. Nothing
 * leaves it, and no certificate authority vouches for it there.
 */
function leaveOutTls() {
    const { connect } = tls;
    tls.connect = function (...all) {
        const given = all.find((one) => typeof one === 'object' && one !== null) ?? {};
        const port = typeof all[0] === 'object' ? given.port : all[0];
        const host = typeof all[1] === 'string' ? all[1] : given.host ?? given.servername;
        if (given.socket || !isApi(host)) return connect.apply(this, all);
        const plain = net.connect({ ...given, host, port, path: undefined });
        // What HTTP clients ask of a socket with TLS.
        plain.encrypted = plain.authorized = true;
        plain.alpnProtocol = false;
        plain.getPeerCertificate = () => ({ subjectaltname: `DNS:${host}` });
        plain.once('connect', () => plain.emit('secureConnect'));
        const connected = all.at(-1);
        if (typeof connected === 'function') plain.once('secureConnect', connected);
        return plain;
    };
}
