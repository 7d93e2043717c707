"""The two signature schemes that verify.py needs: Ed25519 of RFC 8032 and ML-DSA-44 of FIPS 204, verification only.

Written from those standards for the standard library's sake, not for speed: Ed25519 takes a few milliseconds, ML-DSA-44 a few tens.
Nothing here is secret, so nothing has to take constant time.
"""

import functools
import hashlib

# --- Ed25519 (RFC 8032) -----------------------------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

def ed_add(a, b):
    """Adds two points in extended coordinates; the formula is complete, so it doubles as well."""
    u, v = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = v - u, d - c, d + c, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P

def ed_mul(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = ed_add(total, point)
        point, scalar = ed_add(point, point), scalar >> 1
    return total

def ed_decode(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

def ed_encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")

ED_BASE = ed_decode(bytes([0x58] + [0x66] * 31))

@functools.lru_cache(maxsize=4096)
def ed25519_verify(key, message, signature):
    """Compares the bytes of R, without the cofactor, as most implementations do; S must be reduced."""
    point, s = ed_decode(key), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or point is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    minus = (P - point[0], point[1], 1, P - point[3])
    return ed_encode(ed_add(ed_mul(s, ED_BASE), ed_mul(k, minus))) == signature[:32]

# --- ML-DSA-44 (FIPS 204) ---------------------------------------------------------------------------------------------------------

Q, GAMMA1, GAMMA2, TAU, BETA, OMEGA, K, L = 8380417, 1 << 17, 95232, 39, 78, 80, 4, 4
ZETAS = [pow(1753, int(f"{i:08b}"[::-1], 2), Q) for i in range(256)]

def ntt(w):
    w, m, length = list(w), 0, 128
    while length:
        for start in range(0, 256, 2 * length):
            m += 1
            for j in range(start, start + length):
                t = ZETAS[m] * w[j + length] % Q
                w[j], w[j + length] = w[j] + t, w[j] - t
        length //= 2
    return w

def ntt_inverse(w):
    w, m, length = list(w), 256, 1
    while length < 256:
        for start in range(0, 256, 2 * length):
            m -= 1
            for j in range(start, start + length):
                t, u = w[j], w[j + length]
                w[j], w[j + length] = (t + u) % Q, ZETAS[m] * (u - t) % Q
        length *= 2
    return [x * 8347681 % Q for x in w]

def unpack(data, bits):
    number, mask = int.from_bytes(data, "little"), (1 << bits) - 1
    return [number >> i & mask for i in range(0, 256 * bits, bits)]

def expand_a(seed):
    stream, out = hashlib.shake_128(seed).digest(1344), []
    for i in range(0, len(stream), 3):
        value = int.from_bytes(stream[i:i + 3], "little") & 0x7FFFFF
        if value < Q:
            out.append(value)
    # 448 tries at better than 0.999 each: that fewer than 256 succeed does not happen.
    return out[:256]

@functools.lru_cache(maxsize=64)
def mldsa_key(key):
    """What depends on the key alone: the matrix, NTT(t1 * 2^13), and the key's hash."""
    matrix = [[expand_a(key[:32] + bytes([s, r])) for s in range(L)] for r in range(K)]
    t1 = [ntt([x << 13 for x in unpack(key[32 + 320 * i:352 + 320 * i], 10)]) for i in range(K)]
    return matrix, t1, hashlib.shake_256(key).digest(64)

def sample_in_ball(seed):
    stream = iter(hashlib.shake_256(seed).digest(4096))
    signs = int.from_bytes(bytes(next(stream) for _ in range(8)), "little")
    c = [0] * 256
    for i in range(256 - TAU, 256):
        j = next(x for x in stream if x <= i)
        c[i], c[j] = c[j], 1 - 2 * (signs & 1)
        signs >>= 1
    return c

def unpack_hints(data):
    """None unless the hints stand in their one spelling: ascending, and zero bytes behind them."""
    hints, index = [set() for _ in range(K)], 0
    for i in range(K):
        end = data[OMEGA + i]
        if end < index or end > OMEGA or any(data[j - 1] >= data[j] for j in range(index + 1, end)):
            return None
        hints[i], index = set(data[index:end]), end
    return None if any(data[index:OMEGA]) else hints

def use_hint(hint, r):
    r0 = r % (2 * GAMMA2)
    r0 = r0 - 2 * GAMMA2 if r0 > GAMMA2 else r0
    r1, r0 = (0, r0 - 1) if r - r0 == Q - 1 else ((r - r0) // (2 * GAMMA2), r0)
    return (r1 + (1 if r0 > 0 else -1)) % 44 if hint else r1

@functools.lru_cache(maxsize=4096)
def mldsa_verify(key, message, signature):
    """ML-DSA.Verify of FIPS 204, pure, with an empty context."""
    if len(key) != 1312 or len(signature) != 2420:
        return False
    challenge, hints = signature[:32], unpack_hints(signature[2336:])
    z = [[GAMMA1 - x for x in unpack(signature[32 + 576 * i:608 + 576 * i], 18)] for i in range(L)]
    if hints is None or any(abs(x) >= GAMMA1 - BETA for row in z for x in row):
        return False
    matrix, t1, key_hash = mldsa_key(key)
    mu = hashlib.shake_256(key_hash + b"\x00\x00" + message).digest(64)
    c, z, packed = ntt(sample_in_ball(challenge)), [ntt(row) for row in z], b""
    for i in range(K):
        w = ntt_inverse([(sum(matrix[i][s][j] * z[s][j] for s in range(L)) - c[j] * t1[i][j]) % Q for j in range(256)])
        w1 = [use_hint(j in hints[i], w[j]) for j in range(256)]
        packed += sum(x << 6 * j for j, x in enumerate(w1)).to_bytes(192, "little")
    return hashlib.shake_256(mu + packed).digest(32) == challenge
