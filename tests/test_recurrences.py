"""Recurrences: cycles of equations, computed one round after the other, and their gradients.

Each model is held against the oracle on its syntax, which knows no order of rounds, and against central differences;
its module runs with work space full of NaN, and with every buffer apart. Then what a program must look like: products
outside of the loop where they can be, no more stored than is needed.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.emitted import load_compiled, load_plain, poisoned

import gradc
from gradc import pipeline
from gradc.check import check
from gradc.draws import drawn_data, drawn_parameters, small_dims
from gradc.errors import GradcError
from gradc.graph.tensors import Role
from gradc.language.core import Model
from gradc.language.evaluate import evaluate
from gradc.schedule.build import schedule
from gradc.schedule.program import Gemm, Nest, Program, Sequential, Storage
from gradc.schedule.verify import verify_program
from gradc.stages import Stages, graphs

SERIES = """
dim batch, time
dim n = 3, m = 4
input x[batch, time, n]
target y[batch, time, m]
param w[n, m] ~ normal()
param u[m, m] ~ normal() * 0.3
"""
ATTEND = """
def attend(q[b, t, j], keys[b, s, j]):
    a[b, t, s] = softmax[s](sum[j](q[b, t, j] * keys[b, s, j]))
    return[b, t, j] = sum[s](a[b, t, s] * keys[b, s, j])
dim src
input keys[batch, src, m]
"""
MODELS = {
    "guarded read": SERIES
    + """
h[b, t, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](h?[b, t - 1, k] * u[k, j]))
loss mean((h - y)^2)
""",
    "start by condition": SERIES
    + """
input h0[batch, m]
h[b, t, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k]((if t > 0 then h?[b, t - 1, k] else h0[b, k]) * u[k, j]))
loss mean((h - y)^2)
""",
    "start at a place of its own": SERIES
    + """
input h0[batch, m]
h[b, 0, j]     = h0[b, j]
h[b, t + 1, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](h[b, t, k] * u[k, j]))
e[b, t, j] = h[b, t + 1, j] - y[b, t, j]
loss mean(e^2)
""",
    "start below": SERIES
    + """
h[b, t + 1, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](h[b, t, k] * u[k, j]))
h[b, 0, j]     = y[b, 0, j]
loss mean(h^2)
""",
    "last state alone": SERIES
    + """
h[b, t, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](h?[b, t - 1, k] * u[k, j]))
last[b, j] = h[b, time - 1, j]
loss mean(last^2) + 0 * mean(y)
""",
    "lstm, twice": SERIES
    + """
a = lstm(x @ w, 3)
loss mean((lstm(a, m) - y)^2) + mean(u^2)
""",
    "gru, both ways": SERIES
    + """
a = concat(gru(x @ w, 2), gru(x @ w, 2, reverse = true), axis = 2)
loss mean((simple_rnn(a @ u, m) - y)^2)
""",
    "backwards, several offsets": """
dim batch, time
input x[batch, time]
param a[] ~ ones
h[b, t] = tanh(x[b, t] + a * h?[b, t + 1] + 0.3 * h?[b, t + 3])
loss mean(h^2)
""",
    "two tensors, shifted": """
dim batch
dim n = 6
input x[batch, n]
param a[] ~ ones
p[b, t] = tanh(a * q?[b, t + 1] + x[b, t])
q[b, t] = tanh(a * p?[b, t - 3] + x[b, t])
loss mean(p^2) + mean(q^2)
""",
    "steps of two": """
dim batch
dim n = 4
input x[batch, n]
param a[n] ~ ones
h[b: batch, 0] = a[0]
h[b, 2*k + 1] = tanh(h[b, 2*k] * x[b, k])
h[b, 2*k + 2] = tanh(h[b, 2*k + 1] * a[k] + x[b, k])
last[b] = h[b, 8]
loss mean(last^2) + mean(h)
""",
    "flattened steps": """
dim batch, n
dim m = 3, k = 2
input x[batch, n, m], y[batch, n, m, k]
param w[4, 4] ~ normal() * 0.3
param u ~ 0.7
h[b: batch, 0, j: 4] = 1 / (j + 1)
h[b, t*m + i + 1, j: 4] = tanh(sum[l](w[l, j] * h[b, t*m + i, l]) + x[b, t, i])
g[b, t*m*k + i*k + q] = tanh(y[b, t, i, q] + u * g?[b, t*m*k + i*k + q - 1] + g?[b, t*m*k + i*k + q - 2])
c[b, t*m + i] = sigmoid(x[b, t, i]) * c?[b, t*m + i - 1] + u * s?[b, t*m + i - 1]
s[b, (t: n)*m + (i: m)] = tanh(u * c[b, t*m + i])
back[b, t*m + i] = x[b, t, i] + u * back?[b, t*m + i + 1]
loss mean(h^2) + mean(g^2) + mean(s^3) + mean(back^2)
""",
    "flattened steps of a free length": """
dim n, m
input x[n, m]
param w ~ 0.5
h[0] = w
h[t*m + i + 1] = tanh(w * h[t*m + i] + x[t, i])
loss sum(h^2)
""",
    "strides": """
dim n
input x[n]
param w ~ 0.5
param u[3, 3] ~ normal()
h[k: 3] = w * (k + 1)
h[3*(t: n) + (k: 3) + 3] = tanh(x[t] + sum[j: 3](u[j, k] * h[3*t + j]))
g[0] = w
g[1] = w * 2
g[2*(t: n) + 2] = tanh(g[2*t] + x[t])
g[2*(t: n) + 3] = tanh(g[2*t + 2] * w + g[2*t + 1])
loss sum(h^2) + sum(g^2)
""",
    "cheapest ways": """
dim n, m
input x[n], z[m]
param w ~ ones
c[i, j] = (w * x[i] - z[j])^2
d[i, j] = c[i, j] + (
    if i == 0 and j == 0 then 0
    else if i == 0 then d[i, j - 1]
    else if j == 0 then d[i - 1, j]
    else min(d[i - 1, j - 1], min(d[i - 1, j], d[i, j - 1])))
e[i, j] = if i == 0 or j == 0 then w * (i + j) else c[i, j] + min(e[i - 1, j], min(e[i, j - 1], e[i - 1, j - 1]))
loss d[n - 1, m - 1] + e[n - 1, m - 1]
""",
    "trees": """
dim batch, n
input x[batch, n, 3], parent[n] : int(n), child[n] : int(n)
param w[3, 3] ~ normal() * 0.5
h[b, i, j] = tanh(x[b, i, j] + (if parent[i] < i then sum[k](w[k, j] * h[b, parent[i], k]) else 0))
u[b, i, j] = tanh(x[b, i, j] + sum[k](w[k, j] * (if child[i] > i then u[b, child[i], k] else 0)))
t[b, i: n, j] = tanh(x[b, i, j] + (if 2*i + 2 < n then sum[k](w[k, j] * (t[b, 2*i + 1, k] + t[b, 2*i + 2, k])) else 0))
v[b, i: n, j] = tanh(x[b, i, j] + (if i >= 1 then sum[k](w[k, j] * v[b, i // 2, k]) else 0))
s[b, 2*(i: n)] = if i > 0 then tanh((if x[b, i, 1] > 0 then w[0, 0] else w[1, 1]) * s[b, 2*(i // 2)]) else x[b, i, 0]
r[b, i: n] = if i >= 3 then tanh(w[0, 1] * r[b, i % 3] + x[b, i, 2]) else w[0, 0] * x[b, i, 1]
loss mean(h^2) + mean(u^3) + mean(t) + mean(v^2) + mean(s) + mean(r)
""",
    "the likeliest path, read back": """
dim batch, time
dim tags = 3
input x[batch, time, tags]
param trans[tags, tags] ~ normal()
v[b: batch, 0, j: tags] = x[b, 0, j]
v[b: batch, (t: time - 1) + 1, j: tags] = x[b, t + 1, j] + max[i](v[b, t, i] + trans[i, j])
back[b, t: time - 1, j: tags] = argmax[i](v[b, t, i] + trans[i, j])
path[b: batch, time - 1] = argmax[j](v[b, time - 1, j])
path[b: batch, t: time - 1] = back[b, t, path[b, t + 1]]
score[b] = sum[t](x[b, t, path[b, t]] * trans[path[b, t], path[b, 0]])
loss mean(score) + mean(v)
""",
    "words that come of words": """
dim batch, time
dim vocab = 5, n = 3
input seed[batch] : int(vocab), x[batch, time, n], greedy[batch, time] : bool
param table[vocab, n] ~ normal()
param w[n, vocab] ~ normal()
tok[b, 0] = seed[b]
h[b, t: time, j: n] = tanh(table[tok[b, t], j] + x[b, t, j] + h?[b, t - 1, j])
tok[b: batch, (t: time) + 1] = if greedy[b, t] then argmax[v](sum[j](h[b, t, j] * w[j, v])) else min(tok[b, t], 2)
loss mean(h^2) + mean(h) + mean(w^2)
""",
    "the best so far": """
dim n = 7
input x[n]
param w[2] ~ normal()
h[i: n] = x[i] * w[0] + (if i > 0 then max[k: n](if k < i then h[k] * w[1] else -9) else 1)
loss sum(h^2)
""",
    "products, and Fibonacci": """
dim batch
dim n = 5
input x[batch, n]
param a[n] ~ ones
p[b, k] = if k > 0 then p[b, k - 1] * x[b, k] * a[k] else x[b, k] * a[k]
f[b, 0] = x[b, 0]
f[b, 1] = x[b, 1] * a[1]
f[b, k + 2] = f[b, k + 1] * a[k] + f[b, k]
loss mean(p^2) + mean(f)
""",
    "a triangular solve": """
dim batch
dim n = 4
input r[batch, n]
param l[n, n] ~ normal() * 0.2 + 1
x[b, i] = (r[b, i] - sum[k](if k < i then l[i, k] * x[b, k] else 0)) / l[i, i]
loss mean(x^2)
""",
    "Cholesky": """
dim batch
dim n = 4
input r[batch, n]
param p[n, n] ~ normal() * 0.1
a[i, j] = sum[k](p[i, k] * p[j, k]) + (if i == j then 3 else 0)
l[i, j] = if j > i then 0
          else if i == j then sqrt(a[i, i] - sum[k](if k < i then l[i, k]^2 else 0))
          else (a[i, j] - sum[k](if k < j then l[i, k] * l[j, k] else 0)) / l[j, j]
z[b, i] = sum[j](l[i, j] * r[b, j])
loss mean(z^2)
""".replace("\n          else", " else"),
    "two indices": """
dim batch, n, m
input x[batch, n], w[batch, m]
param s[] ~ ones
d[b, i, j] = s * (x[b, i] - w[b, j])^2 - 0.5 * logsumexp[k: 3](-2 * (
    if k == 0 then d?[b, i - 1, j] else if k == 1 then d?[b, i, j - 1] else d?[b, i - 1, j - 1]))
last[b] = d[b, n - 1, m - 1]
loss mean(last)
predict d
""",
    "two indices of products": """
dim batch, n, m
dim c = 4
input x[batch, n, m, c]
param u[c, c] ~ normal() * 0.3
param v[c, c] ~ normal() * 0.3
h[b, i, j, o] = tanh(x[b, i, j, o] + sum[k](h?[b, i - 1, j, k] * u[k, o]) + sum[k](h?[b, i, j - 1, k] * v[k, o]))
loss mean(h^2)
""",
    "two indices of products in one sum": """
dim batch, n, m
dim c = 4
input x[batch, n, m, c]
param u[c, c, 2] ~ normal() * 0.3
h[b, i, j, o] = tanh(x[b, i, j, o] + sum[k](h?[b, i - 1, j, k] * u[k, o, 0] + h?[b, i, j - 1, k] * u[k, o, 1]))
loss mean(h^2)
""",
    "a path of least cost, by a window": """
dim n, m
input c[n, m]
param w[] ~ 1.1
least[i: n, j: m] = min[u: 2, v: 2](if (u > 0 or v > 0) and i >= u and j >= v then d[i - u, j - v] else inf)
d[i, j] = w * c[i, j] + (if i == 0 and j == 0 then 0 else least[i, j])
loss d[n - 1, m - 1]^2
""",
    "a sum over the first step in each": """
dim batch, time
dim d = 3
input x[batch, time, d]
param u[d, d] ~ normal()
param v[d, d] ~ normal()
a[b, t: time, j] = x[b, t, j] + sum[k]((if t > 0 then h?[b, t - 1, k] else 0) * u[k, j])
h[b, t, j] = if t > 0 then tanh(a[b, t, j] + sum[k](h[b, 0, k] * v[k, j])) else x[b, t, j]
loss mean(h^2)
""",
    "the two best of a search, by places": """
dim time
dim n = 4
input x[time, n]
param a[2, n] ~ normal()
s[t, c: 2, j: n] = x[t, j] + a[c, j] + (if t > 0 then m?[t - 1, c] else 0)
best[t, c: 2] = if c > 0 then argmax[f: 2 * n](if f == best[t, 0] then -inf else s[t, f // n, f % n]) else first[t]
first[t] = argmax[f: 2 * n](s[t, f // n, f % n])
m[t, c] = s[t, best[t, c] // n, best[t, c] % n]
loss m[time - 1, 0] + 0.5 * m[time - 1, 1]
""",
    "a hidden Markov model": """
dim batch, time
dim s = 3, o = 5
input ids[batch, time] : int(o)
param start[s] ~ normal()
param trans[s, s] ~ normal()
param emit[s, o] ~ normal()
lt[i, j] = trans[i, j] - logsumexp[k: s](trans[i, k])
le[i, v] = emit[i, v] - logsumexp[k: o](emit[i, k])
al[b, t, j] = le[j, ids[b, t]] + (if t == 0 then start[j] else logsumexp[i](al?[b, t - 1, i] + lt[i, j]))
ll[b] = logsumexp[j](al[b, time - 1, j])
loss -mean(ll)
""",
    "the best path": """
dim batch, time
dim s = 3
input x[batch, time, s]
param trans[s, s] ~ normal()
best[b, t, j] = x[b, t, j] + (if t == 0 then 0 else max[i](best?[b, t - 1, i] + trans[i, j]))
last[b] = max[j](best[b, time - 1, j])
loss mean(last)
""",
    "a decoder, through a call": SERIES
    + ATTEND
    + """
h[b: batch, 0, j: m] = 0.1
context = attend(h, keys)
h[b, t + 1, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](context[b, t, k] * u[k, j]))
loss mean(h^2) + 0 * mean(y)
""",
    "a decoder, by indices": SERIES
    + ATTEND
    + """
h[b: batch, 0, j: m] = 0.1
h[b, t + 1, j] = tanh(sum[i](x[b, t, i] * w[i, j]) + sum[k](c[b, t, k] * u[k, j]) + h[b, t, j])
q[b, t: time, j] = h[b, t, j]
c[b: batch, t: time, j: m] = attend(q, keys)[b, t, j]
loss mean((c - y)^2)
""",
    "fixed length, and length one": """
dim batch
dim n = 1, k = 3
input x[batch, n], z[batch, k]
param a[] ~ ones
h[b, t] = tanh(x[b, t] + a * h?[b, t - 1])
g[b, t] = tanh(z[b, t] + a * g?[b, t - 1] + h[b, 0])
loss mean(h^2) + mean(g^2)
predict g
""",
    "from the end, through a function of all of it": """
dim batch, time
input x[batch, time]
param a[] ~ ones
h[b, time - 1 - t] = tanh(x[b, t] + a * tanh(h)?[b, time - t])
out = tanh(h)
loss mean(out^2)
""",
    "one from the start and one from the end": """
dim batch, time
input x[batch, time]
param a[] ~ ones
h[b, t] = tanh(x[b, t] + a * g?[b, time - t])
g[b, time - 1 - t] = sin(h[b, t] + a * x[b, t])
loss mean(g^2) + sum(h)
""",
    "what is earlier lies on a diagonal": """
dim batch
dim n = 3
input x[batch, n]
param w[n, n] ~ normal()
h[i: n, b, 0] = x[b, i]
h[i: n, b, (t: 2) + 1] = tanh(w[i, t] + 0.5 * h[t, b, t])
loss mean(h^2)
""",
    "a diagonal, from the end": """
dim n = 5
param w[n, n] ~ normal()
h[n - 1 - (t: n), i: n] = w[t, i] - 0.3 * sum[k: n](g?[k, n - 2 - t])
g[i: n, n - 1 - (t: n)] = 0.9 * sin(h)?[n - 3 - t, t] + w[i, t]
loss sum[i, j](g[i, j] * cos(1 + i + 2*j))
""",
    "a maximum, from the end": """
dim batch, time
dim n = 3
input x[batch, time, n]
param w[n] ~ normal()
h[b, i, time - 1 - t] = tanh(x[b, t, i] * w[i] + max[j: n](h?[b, j, time - t] * w[j]))
loss mean(h^2)
""",
    "gradients that nothing adds to are read": """
dim batch
dim n = 3
input x[batch, n]
param w[n] ~ normal()
h[t: n, b] = w[t] * x[b, t] + 0.5 * (if t >= 2 then g[t - 2, b] else 1)
g[t: n, b] = sin(x[b, t]) - 0.5 * (if t >= 2 then h[t - 2, b] else w[0]) * x[b, 0]
loss sum(g)
""",
    "rounds that are never there": """
dim batch
dim n = 2
input x[batch, n]
param w[n, n] ~ normal()
h[t: n, i, j] = min(w[i, j] - (if t > 1 then h[t - 1, j, i] else x[0, j]),
                    w[j, i] - (if t > 1 then h[t - 1, j, i] else 1))
loss sum(h)
""",
    "two tensors, one along a diagonal": """
dim batch
input x[batch]
param w[2] ~ normal()
h[0, i] = x[i] * w[0]
h[1, i] = x[i] * w[1]
c[(t: batch) + 2, i: batch] = h[t, i] - 0.5 * h[t + 1, t]
h[(t: batch) + 2, i: batch] = x[t] * w[0] - 0.9 * c[t + 2, i]
loss sum(c^2)
""",
    "three indices, one inside the other": """
dim n = 3
input x[n]
param w[n, n, n] ~ normal()
h[i: n, j: n, k: n] = w[i, j, k] * x[i] + 0.3 * (h?[i - 1, j, k] + h?[i, j - 1, k] - h?[i, j, k - 1])
loss sum(h^2)
""",
    "a diagonal of what a round alone needs": """
dim batch, n = 2, m = 4
input x[batch]
param w[m] ~ normal()
h[i: m, 0, b: batch] = w[i]
h[i: m, (t: n) + 1, b: batch] = 0.9 * g[t, t, b] + h[t, t, b]
g[t: n, i: m, b] = x[b] - 0.3 * h[t, t, b]
loss mean(h^2)
""",
    "half a diagonal of what a round alone needs": """
dim n = 3, m = 4
param w[m] ~ normal()
h[i: m, t: n] = g[t // 2, t] + (if t < 2 then w[i] else h[t, t - 2]) - sum[j: m](if t < 2 then w[i] else h[j, t - 1])
g[i: m, t: n] = tanh(w[i] + (if t < 2 then 0.5 else h[i, t - 2]) - (if t < 2 then 1 else h[t + 1, t - 1]))
loss sum(h^2)
""",
    "steps of two in two places": """
dim n = 2, m = 3
param w[n, m] ~ normal()
h[i: m, t: n, j: m] = w[t, j] + 0.5 * (if t >= n - 1 then w[t, i] else h?[t, t + 1, i]) * w[t, j]
loss mean(h^2)
""",
    "a window of its own past": """
dim batch, time
input x[batch, time]
target y[batch, time]
param w[3] ~ normal()
c[i, l] = x[i, l] + sum[k: 3](w[k] * c?[i, l - 1 - 2*k])
loss mean(squared_error(c, y))
""",
    "a window of what is later": """
dim batch, time
input x[batch, time]
param w[3] ~ normal()
c[i, l] = tanh(x[i, l] + max[k: 3](w[k] * c?[i, l + 1 + k]))
loss mean(c^2)
""",
    "a window by parts": """
dim batch, t = 8, n = 2
input x[batch, t, n]
past[i: batch, l: t, (k: 3) * n + (q: n)] = c?[i, l - 1 - k, q]
z = dense(past, n)
c[i: batch, l: t, j: n] = tanh(z[i, l, j] + x[i, l, j])
loss mean(c^2)
""",
    "a causal convolution over its own past": """
dim batch, t = 8, n = 2
input x[batch, t, n]
past[i: batch, l: t, j: n] = c?[i, l - 1, j]
z = conv1d(past, n, 3, padding = causal)
c[i: batch, l: t, j: n] = tanh(z[i, l, j] + x[i, l, j])
loss mean(c^2)
""",
    "a causal window in two directions": """
dim n, m
input x[n, m]
param w[2, 2] ~ normal() * 0.3
c[i, j] = tanh(x[i, j] + sum[u: 2, v: 2](if u + v > 0 then w[u, v] * c?[i - u, j - v] else 0))
loss mean(c^2)
""",
    "windows of two that need each other": """
dim batch, n
input x[batch, n]
param w[3] ~ normal()
h[i, t] = x[i, t] * w[0] - 0.5 * g?[i, t + 1] + 0.3 * sum[k: 3](w[k] * h?[i, t + k + 1])
g[i, t] = tanh(x[i, t] * w[0] + w[1] * sum[k: 2](w[k] * h?[i, t + k]) + w[1] * g?[i, t + 2])
loss mean((h - 0.1 * g)^2)
""",
    "all pairs before": """
dim n = 5
input x[n]
param a ~ constant(0.7)
c[l: n] = x[l] * a + sum[k: n](if k < l then c[k] * c[l - k - 1] * a else 0)
loss mean(c^2)
""",
    "spans of spans": """
dim n = 5
input x[n]
param a ~ constant(0.7)
c[i: n, l: n] = (if l == 0 then x[i] * a else (
    if i + l < n then logsumexp[k: n](if k < l then c[i, k] + a * c[i + k + 1, l - k - 1] else -inf) else 0))
loss (c[0, n - 1])^2
""",
    "halves and the largest of a window": """
dim batch, n
input x[batch, n]
param w[3] ~ normal()
g[i: batch, t: n] = x[i, t] * w[0] + 0.3 * sum[k: n](if k < t then h[i, k] * h[i, t - k - 1] else 0)
h[i: batch, t: n] = tanh(x[i, t] + 0.3 * (if t > 0 then h[i, t // 2] else 0) - 0.5 * max[k: 2](w[k] * g?[i, t - k - 1]))
loss mean(h^2)
""",
    "halves come to a place twice": """
dim batch, n = 6
input x[batch, n]
param w[n] ~ normal()
q[i: batch, t: n] = h?[i, t - 1] * w[0]
h[i: batch, t: n] = tanh((if t >= 1 then q[i, (t + 1) // 2] * w[t] else 0) + x[i, t])
loss mean[i]((h[i, n - 1])^2)
""",
    "the first place through another tensor": """
dim batch, n
input x[batch, n]
param w[2] ~ normal()
c[b, t: n] = if t > 0 then sin(h[b, t - 1]) * w[0] + h[0, 0] * w[1] else x[b, 0]
h[b, t: n] = c[b, t] * w[1] + x[b, t]
loss mean(h^2)
""",
    "places near the end, through another tensor, of the first row": """
dim batch, n = 6
input x[batch, n]
param w[3] ~ normal()
h[i: batch, t: n, j: 2] = tanh(x[i, t] * w[j] + w[1] * (if t < 4 then g[0, 4, (j + 1) % 2] else 0.1))
g[i: batch, t: n, j: 2] = x[i, t] * w[j] + 0.3 * (if t < 5 then h[i, 5, (j + 1) % 2] else 0.1)
loss mean[i]((h[i, n - 1, 1] - 0.3)^2)
""",
    "a fixed place and all before": """
dim b, n = 6
input x[b, n]
param w[3] ~ normal()
g[i: b, t: n] = tanh(x[i, t] + w[1] * (if t > 1 then g[i, 1] else 0.1) + sum[s: n](if s < t then h[i, s] else 0))
h[i: b, t: n] = x[i, t] * w[0] + 0.3 * sum[s: n](if s < t then g[i, s] else 0) + w[1] * (if t > 0 then g[i, 0] else 0.1)
loss mean[i]((h[i, n - 1] - 0.3)^2)
""",
    "least of three before in two directions": """
dim n, m
input x[n, m]
param a ~ constant(0.7)
d[i: n, j: m] = x[i, j] * a + min[u: 2, v: 2](if u + v > 0 and i - u >= 0 and j - v >= 0 then d[i - u, j - v] else 9)
loss d[n - 1, m - 1]
""",
    "the first place of all, but in one": """
dim n, m
input x[n, m]
param w[2] ~ normal()
h[i: n, j: m] = x[i, j] * w[0] + w[1] * (if i > 0 or j > 0 then h[0, 0] else 0.1) + 0.3 * g?[i - 1, j]
g[i: n, j: m] = tanh(x[i, j] + h[i, j] + w[1] * (if j > 0 then h[i, 0] else 0.1))
loss mean(h^2)
""",
    "extents told by one of its starts, asked for by way of others": """
dim batch, time, s = 2
input y[batch, time]
param f[s, s] ~ normal() * 0.3
param c[s] ~ normal()
m[b: batch, 0, i: s] = 0
p[b: batch, 0, i: s, j: s] = if i == j then 1 else 0
mean_before[b, t: time, i] = sum[j](f[i, j] * m[b, t, j])
fp[b, t: time, i, k] = sum[j](f[i, j] * p[b, t, j, k])
before[b, t, i, l] = sum[k](fp[b, t, i, k] * f[l, k]) + (if i == l then 1 else 0)
v[b, t] = sum[i, j](c[i] * before[b, t, i, j] * c[j]) + 0.5
gain[b, t, i] = sum[j](before[b, t, i, j] * c[j]) / v[b, t]
off[b, t] = y[b, t] - sum[i](c[i] * mean_before[b, t, i])
m[b, t + 1, i] = mean_before[b, t, i] + gain[b, t, i] * off[b, t]
p[b, t + 1, i, j] = before[b, t, i, j] - gain[b, t, i] * sum[k](c[k] * before[b, t, k, j])
loss mean[b, t](log(v[b, t]) + off[b, t]^2 / v[b, t])
""",
    "whole numbers that tell of each other, read above where they are made": """
dim batch, steps
dim vocab = 3, width = 2
input e[batch, steps, vocab]
param a[vocab, vocab] ~ normal()
s[b, t + 1, k] = c[b, t, at[b, t, k]]
last[b, t + 1, k] = at[b, t, k] % vocab
at[b: batch, t: steps, k: width] = if k == 0 then first[b, t] else second[b, t]
second[b: batch, t: steps] = argmax[q](if q == first[b, t] then -inf else c[b, t, q])
first[b: batch, t: steps] = argmax[q](c[b, t, q])
c[b, t, q: width * vocab] = s[b, t, q // vocab] + a[last[b, t, q // vocab], q % vocab] + e[b, t, q % vocab]
last[b: batch, 0, k: width] = 0
s[b: batch, 0, k: width] = 0.1 * k
loss mean(s^2)
""",
    "two that meet in sums alone": """
dim batch, n
input x[batch, n]
param w[3] ~ normal()
g[i: batch, t: n, j: 2] = x[i, t] * w[j] + 0.3 * sum[s: n](if s < t then h[i, s, (j + 1) % 2] * w[(t - s) % 3] else 0)
h[i: batch, t: n, j: 2] = tanh(x[i, t] * w[j] - 0.5 * sum[s: n](if s < t then g[i, s, j] * w[(t - s) % 3] else 0))
loss mean(h^2)
""",
}


def stages_of(text: str) -> Stages:
    return graphs(text)


def given(module: Any, model: Model, data: dict[str, Any], values: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The parameters with these values, and the data in the order of the arguments."""
    params = module.init(0)
    for key, value in values.items():
        params[key] = value
    roles = (Role.INPUT, Role.TARGET)
    return params, [data[leaf.name] for role in roles for leaf in model.leaves if leaf.role is role]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_agree_with_central_differences(name):
    report = check(MODELS[name])
    assert report.passed, report


@pytest.mark.parametrize("name", MODELS)
def test_module_agrees_with_the_syntax(name):
    stages, text = stages_of(MODELS[name]), MODELS[name]
    model, rng = stages.model, np.random.default_rng(5)
    facts = [each.value for each in model.preconditions]
    assert stages.gradient is not None
    for graph in filter(None, (stages.gradient, stages.predict, stages.evaluate)):
        verify_program(schedule(graph), facts)
        verify_program(schedule(graph, share=False), facts)
    module = load_plain(pipeline.emit(text, dtype="float64"))
    for more in (0, 3):
        dims = {name: size + more for name, size in small_dims(model).items()}
        data, values = drawn_data(model, dims, 0, rng), drawn_parameters(model, 0, rng)
        params, arguments = given(module, model, data, values)
        loss, gradients = module.loss_and_gradients(params, *arguments)
        assert model.loss is not None
        expected = evaluate(model, {**data, **values}, dims)[model.loss.tensor]
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
        with poisoned(module, np.nan):
            again, poisoned_gradients = module.loss_and_gradients(params, *arguments)
        assert again == loss
        for key in module.PARAMS:
            np.testing.assert_array_equal(poisoned_gradients[key], gradients[key], err_msg=key)


EMPTY_STEPS = """
dim batch, time, n = 40
input x[batch, time, n]
z = dense(x, n)
h[b, 0, j] = z[b, 0, j]
h[b, (t: time - 1) + 1, j] = tanh(z[b, t + 1, j] + 0.5 * h[b, t, j])
q[b, t: time - 1, j: n] = max[k](h[b, t + 1, k] * z[b, t, j])
q[b, time - 1, j] = h[b, 0, j]
loss mean(dense(q, 3)^2)
"""


@pytest.mark.parametrize("length", [1, 2])
def test_equations_of_no_place_are_left_out(length: int, tmp_path: Path):
    model, rng = stages_of(EMPTY_STEPS).model, np.random.default_rng(7)
    dims = {**small_dims(model), "time": length}
    with_length = EMPTY_STEPS.replace("batch, time, n", f"batch, time = {length}, n", 1)
    fixed = stages_of(with_length)
    data, values = drawn_data(model, dims, 0, rng), drawn_parameters(model, 0, rng)
    assert model.loss is not None
    expected = evaluate(model, {**data, **values}, dims)[model.loss.tensor]
    free = pipeline.emit(EMPTY_STEPS, dtype="float64")
    given_length = pipeline.emit(with_length, dtype="float64")
    gradients = []
    for module in (load_plain(free), load_compiled(free, tmp_path), load_plain(given_length)):
        params, arguments = given(module, model, data, values)
        loss, found = module.loss_and_gradients(params, *arguments)
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
        gradients.append([np.array(found[key]) for key in module.PARAMS])
    for others in gradients[1:]:
        for one, other in zip(gradients[0], others, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
    for graph in filter(None, (fixed.gradient, fixed.evaluate)):
        verify_program(schedule(graph), [])


def test_a_tensor_of_no_place_is_refused():
    with pytest.raises(GradcError, match=r"axis 0 of h has 0 places"):
        pipeline.emit("dim n = 1\nparam w ~ 1\nh[i: n - 1] = w\nh[(i: n - 1) * 1] = w\nloss sum(h)\n")


def sequential(program: Program) -> list[Sequential]:
    return [step for step in program.steps if isinstance(step, Sequential)]


def test_what_does_not_depend_on_the_step_is_outside_the_loop():
    text = SERIES.replace("n = 3", "n = 8") + "loss mean((lstm(x @ w, m) - y)^2) + mean(u^2)\n"
    gradient = stages_of(text).gradient
    assert gradient is not None
    program = schedule(gradient)
    forward, backward = sequential(program)
    assert (forward.backward, backward.backward) == (False, True)
    products = [step.equation.target for step in program.steps if isinstance(step, Gemm)]
    # x·wx before the loops, and after them the gradients by wx, by wh, and by what comes in
    assert [name for name in products if "d_" not in name and "lstm" in name]
    assert any(name.endswith("wx") and name.startswith("d_") for name in products)
    assert any(name.endswith("wh") and name.startswith("d_") for name in products)
    for loop in (forward, backward):
        inside = [step for step in loop.steps if isinstance(step, Gemm)]
        assert len(inside) == 1
        assert inside[0].equation.reduced[0].extent.constant == 4


def test_storage_along_the_loop_is_what_is_needed():
    text = (
        SERIES
        + """
h = lstm(x, m)
last[b, j] = h[b, time - 1, j]
predict last
loss mean(last^2) + mean(y) + mean(w) + mean(u)
"""
    )
    predict = stages_of(text).predict
    assert predict is not None
    program = schedule(predict)
    stored = {
        name: [str(extent) for extent in buffer.extents]
        for name, buffer in program.buffers.items()
        if buffer.storage is Storage.WORK and name in {e.target for s in sequential(program) for e in _equations(s)}
    }
    assert "time" in stored["h"]
    assert not any("time" in extents for name, extents in stored.items() if "sigmoid" in name or "tanh" in name)


def _equations(step):
    for inner in step.steps:
        if isinstance(inner, Nest):
            yield from (statement.equation for statement in inner.statements())
        elif isinstance(inner, Gemm):
            yield inner.equation


@pytest.mark.parametrize("name", ["guarded read", "two indices of products", "the best path"])
def test_compiled(name: str, tmp_path: Path):
    text = MODELS[name]
    model, rng = stages_of(text).model, np.random.default_rng(6)
    source = pipeline.emit(text, dtype="float64")
    plain, compiled = load_plain(source), load_compiled(source, tmp_path)
    data, values = drawn_data(model, small_dims(model), 0, rng), drawn_parameters(model, 0, rng)
    found = []
    for module in (plain, compiled):
        params, arguments = given(module, model, data, values)
        found.append(module.loss_and_gradients(params, *arguments))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    for key in plain.PARAMS:
        np.testing.assert_allclose(found[1][1][key], found[0][1][key], rtol=1e-9, atol=1e-12, err_msg=key)


TREE = """
dim n = 7
input x[n]
param w[2] ~ normal()
"""


MANY_CASES = "h[i: n] = x[i] * w[0] + (" + "".join(
    f"if x[i] > {k} then (if i > 0 then {k} * h[i // 2] * w[1] else 1) else " for k in range(12)
) + "0)"  # fmt: skip
"""Each of which would have to be looked at, to see that what is read lies earlier."""


def test_a_gradient_without_an_order_is_refused():
    with pytest.raises(GradcError, match=r"no order that is found: d_h(.|\n)*for i in range\(1, n\)") as refusal:
        pipeline.emit(f"{TREE}{MANY_CASES}\nloss sum(h^2)\n", file="m.grad")
    assert [each.code for each in refusal.value.diagnostics] == ["gradient-without-order"]
    assert refusal.value.diagnostics[0].span.line == 5


def test_so_is_one_that_only_a_prediction_needs():
    with pytest.raises(GradcError, match=r"no order that is found: du\.of\.dh"):
        pipeline.emit(f"{TREE}{MANY_CASES}\nu = grad(sum(h^2), x)\npredict u\nloss sum(w^2)\n", file="m.grad")


def test_an_equation_for_each_place_needs_no_order():
    tree = "h[0] = x[0] * w[0] + 1\nfor i in range(1, n):\n    h[i] = x[i] * w[0] + 0.5 * h[(i - 1) // 2] * w[1]\n"
    assert check(f"{TREE}{tree}loss sum(h^2)\n", file="m.grad").passed


def test_steps_learn():
    text = (
        SERIES
        + """
p = dense(simple_rnn(x @ w, 8), m)
predict p
loss mean((p - y)^2) + mean(u^2)
optimize adam(lr = 1e-2)
"""
    )
    model = gradc.compile_text(text)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 10, 3)).astype("f4")
    y = np.cumsum(x.mean(2, keepdims=True), 1).repeat(4, 2) / 3
    losses = [model.train_step(x, y) for _ in range(200)]
    assert losses[-1] < 0.3 * losses[0]
    assert model.predict(x[:3, :1]).shape == (3, 1, 4)


PARTS = """
dim batch, n = 5
input x[batch, n]
param w[n, 3] ~ normal()
z[b, 0, j: n] = x[b, j] * w[j, 0]
z[b, 1, j: n] = tanh(x[b, j] * w[j, 1])
z[b, 2, j: n] = x[b, j] - w[j, 2]
h[b, t, j: n] = (if t > 0 then h[b, t - 1, j] else 0) + z[b, t, j] * z[b, 2 - t, j]
loss mean(h^2)
"""


def test_a_tensor_in_parts_is_not_set_to_zero_first(tmp_path: Path):
    stages = stages_of(PARTS)
    assert stages.gradient is not None
    program = schedule(stages.gradient)
    verify_program(program)
    statements = [s for step in program.steps if isinstance(step, Nest) for s in step.statements()]
    assert [s.starts for s in statements if s.equation.target == "z"] == [True, True, True]
    assert "z[...] = f4(0.0)" not in pipeline.emit(PARTS)
    assert check(PARTS).passed
    rng = np.random.default_rng(8)
    data, values = drawn_data(stages.model, {"batch": 3}, 0, rng), drawn_parameters(stages.model, 0, rng)
    source = pipeline.emit(PARTS, dtype="float64")
    plain, compiled = load_plain(source), load_compiled(source, tmp_path)
    params, arguments = given(plain, stages.model, data, values)
    with poisoned(plain, np.nan):
        found = [plain.loss_and_gradients(params, *arguments)]
    params, arguments = given(compiled, stages.model, data, values)
    found.append(compiled.loss_and_gradients(params, *arguments))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1]["w"], found[0][1]["w"], rtol=1e-9)
