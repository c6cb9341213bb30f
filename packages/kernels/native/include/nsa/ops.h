// Every op of the toolkit: its fields and its contract. Addon, backends and TypeScript read this one list.
//
// T(x) buffer, O(x) optional buffer, I(x) int64, F(x) double.
// Legend: T tokens (rows), D model width, V vocabulary, Hq query heads, Hkv KV heads, G = Hq/Hkv, Dk / Dv head
// dims of keys / values (fields dim_k, dim_v), n documents, NB compressed blocks, B sequences in a decode batch.
// Float buffers are f32 or bf16 (f64 too on the reference backend); accumulation is f32 (f64 on the reference).
// "f32" below means f32 on fast backends and f64 or f32 on the reference. Index buffers are i32.
// ldx is the distance in elements between rows of x (tokens), heads are adjacent inside a row: x[t, h, c] is
// x[t*ldx + h*head_dim + c]. Documents are [cu[i], cu[i+1]).
#pragma once

#define NSA_OP_LIST(OP) \
  OP(fill) OP(copy) OP(add) OP(unary) OP(unary_bwd) OP(binary) OP(binary_scalar) \
  OP(reduce) OP(segment_reduce) OP(segment_broadcast) OP(gather_rows) OP(scatter_rows) OP(col_sum) \
  OP(gemm) OP(embedding_bwd) \
  OP(rms_norm_fwd) OP(rms_norm_bwd) OP(rope) OP(swiglu_fwd) OP(swiglu_bwd) \
  OP(flash_fwd) OP(flash_bwd) \
  OP(nsa_block_gather_fwd) OP(nsa_block_gather_bwd) OP(nsa_pool_fwd) OP(nsa_pool_bwd) \
  OP(nsa_select) OP(nsa_selected_fwd) OP(nsa_selected_bwd) OP(nsa_gate_fwd) OP(nsa_gate_bwd) \
  OP(lm_head_fwd) OP(lm_head_bwd) \
  OP(sum_squares) OP(fingerprint) OP(optim_prepare) OP(adamw) \
  OP(philox_normal) OP(sample) \
  OP(paged_write) OP(page_copy) OP(paged_block_gather) OP(paged_attn) OP(nsa_decode_select) OP(nsa_decode_selected) \
  OP(nsa_decode_attend)

// ---- elementwise, reductions, rows ---------------------------------------------------------------------------
// x = value.
#define NSA_FIELDS_fill(T, O, I, F) T(x) F(value)
// y = x, converting between dtypes (bf16 rounds to nearest even); same numel.
#define NSA_FIELDS_copy(T, O, I, F) T(x) T(y)
// y = alpha*a + beta*b; y may be a or b.
#define NSA_FIELDS_add(T, O, I, F) T(a) T(b) T(y) F(alpha) F(beta)
// y = f(x). kind: 0 neg, 1 exp, 2 log, 3 sigmoid, 4 square, 5 sqrt, 6 reciprocal, 7 abs, 8 tanh, 9 silu, 10 relu,
// 11 log-sigmoid, 12 sign (bwd 0).
#define NSA_FIELDS_unary(T, O, I, F) T(x) T(y) I(kind)
// dx = f'(x)·dy; y = f(x) is given too.
#define NSA_FIELDS_unary_bwd(T, O, I, F) T(x) T(y) T(dy) T(dx) I(kind)
// y = a ∘ b; b has a's numel or is one element. kind: 0 add, 1 sub, 2 mul, 3 div, 4 min, 5 max, 6 a>b, 7 a>=b,
// 8 a==b (comparisons give 1 or 0).
#define NSA_FIELDS_binary(T, O, I, F) T(a) T(b) T(y) I(kind)
// y = a ∘ value, kinds as in binary; kind 9: value − a, 10: value / a.
#define NSA_FIELDS_binary_scalar(T, O, I, F) T(a) T(y) F(value) I(kind)
// y[0] = reduce(x). kind: 0 sum, 1 max, 2 min. Fixed order: independent of threads.
#define NSA_FIELDS_reduce(T, O, I, F) T(x) T(y) I(kind)
// y[i] = reduce(x[cu[i] : cu[i+1]]); empty segment gives 0. x [T], cu [n+1], y [n].
#define NSA_FIELDS_segment_reduce(T, O, I, F) T(x) T(cu) T(y) I(n) I(kind)
// x[t] = y[i] for cu[i] <= t < cu[i+1].
#define NSA_FIELDS_segment_broadcast(T, O, I, F) T(y) T(cu) T(x) I(n)
// y[m,:] = x[idx[m],:]; idx −1 gives a zero row. Also the embedding forward and the read of a paged cache.
#define NSA_FIELDS_gather_rows(T, O, I, F) T(x) T(idx) T(y) I(rows) I(cols)
// x = 0; x[idx[m],:] = y[m,:]. Every idx occurs once or is −1. x [x_rows, cols], y [rows, cols].
#define NSA_FIELDS_scatter_rows(T, O, I, F) T(y) T(idx) T(x) I(rows) I(cols) I(x_rows)
// y[c] += Σ_r x[r,c]: gradient of a bias.
#define NSA_FIELDS_col_sum(T, O, I, F) T(x) T(y) I(rows) I(cols)

// ---- matmul ---------------------------------------------------------------------------------------------------
// C[m,n] = alpha·op(A)[m,k]·op(B)[k,n] + beta·C (+ bias[n]) (+ residual[m,n], leading dimension ldc).
// trans_a: A is stored [k,m]; trans_b: B is stored [n,k]. lda, ldb, ldc are leading dimensions as stored.
// Linear layers keep W as [out,in] (Hugging Face): y = x·Wᵀ. A and B share a dtype, or A is bf16 with B f32.
// residual may be C itself only with beta = 1.
#define NSA_FIELDS_gemm(T, O, I, F) \
  T(a) T(b) T(c) O(bias) O(residual) I(m) I(n) I(k) I(lda) I(ldb) I(ldc) I(trans_a) I(trans_b) F(alpha) F(beta)
// dw[ids[t],:] += dy[t,:], summed in order of t for each id; deterministic. ids −1 skipped.
#define NSA_FIELDS_embedding_bwd(T, O, I, F) T(dy) T(ids) T(dw) I(tokens) I(vocab) I(d)

// ---- norm, rope, mlp ------------------------------------------------------------------------------------------
// y[r,h,:] = x[r,h,:]·rstd·w, rstd = 1/sqrt(mean(x²)+eps); w [cols]; rstd f32 [rows, heads]. heads = 1 for a plain
// norm; QK-norm uses heads. y may be x.
#define NSA_FIELDS_rms_norm_fwd(T, O, I, F) T(x) T(w) T(y) T(rstd) I(rows) I(heads) I(cols) I(ldx) I(ldy) F(eps)
// dx (strides of x), dw [cols] f32 +=. accumulate: dx += instead of =. dx may be dy when ldx = ldy and not accumulate.
#define NSA_FIELDS_rms_norm_bwd(T, O, I, F) \
  T(dy) T(x) T(w) T(rstd) T(dx) T(dw) I(rows) I(heads) I(cols) I(ldx) I(ldy) I(accumulate)
// Rotary embedding, half-split convention: for j < rot_dim/2, (x[j], x[j+rot_dim/2]) turned by the angle of
// positions[r]; cos, sin f32 [P, rot_dim/2]. inverse: turned back (the backward). Channels past rot_dim are copied.
// y may be x.
#define NSA_FIELDS_rope(T, O, I, F) \
  T(x) T(y) T(cos) T(sin) T(positions) I(rows) I(heads) I(head_dim) I(rot_dim) I(ldx) I(ldy) I(inverse)
// y = silu(g)·u with gu [rows, 2·cols], g first.
#define NSA_FIELDS_swiglu_fwd(T, O, I, F) T(gu) T(y) I(rows) I(cols)
// dgu may be gu. y, when given, receives silu(g)·u again and may be dy: a forward's output need not be kept for its consumer.
#define NSA_FIELDS_swiglu_bwd(T, O, I, F) T(dy) T(gu) T(dgu) O(y) I(rows) I(cols)

// ---- attention ------------------------------------------------------------------------------------------------
// Softmax attention over packed documents. Query row r of document i has local index t = r − cu_q[i] (+ q_start[i]);
// key row j of the document (row cu_k[i]+j) is visible iff j·stride + block_size − 1 <= t and (window = 0 or
// j > t − window). Dense causal: block_size = stride = 1. Compressed blocks: block_size = l, stride = d.
// q [tq, hq, dk], k [tk, hkv, dk], v [tk, hkv, dv], o [tq, hq, dv]; lse f32 [tq, hq] natural log.
// Query head h reads KV head h/(hq/hkv). No visible key: o = 0, lse = −inf, zero gradient.
#define NSA_FIELDS_flash_fwd(T, O, I, F) \
  T(q) T(k) T(v) T(o) T(lse) T(cu_q) T(cu_k) O(q_start) I(n_docs) I(tq) I(tk) I(hq) I(hkv) I(dim_k) I(dim_v) \
  I(ldq) I(ldk) I(ldv) I(ldo) I(window) I(block_size) I(stride) F(scale)
// dq, dk, dv have the strides of q, k, v; do_ that of o. Overwritten, or added to when accumulate (bit 0 dq, bit 1 dk and dv).
// With cos, sin and positions [tq] (tq = tk, no accumulate) dq and dk are turned back as by an inverse rope of rot_dim; positions are
// the rows' local indices. delta, f32 [tq, hq], is the sum of do_∘o over a row where that is known; backends may sum it themselves.
#define NSA_FIELDS_flash_bwd(T, O, I, F) \
  T(q) T(k) T(v) T(o) T(lse) T(do_) T(dq) T(dk) T(dv) O(delta) O(cos) O(sin) O(positions) T(cu_q) T(cu_k) I(rot_dim) I(n_docs) I(tq) I(tk) I(hq) I(hkv) I(dim_k) I(dim_v) \
  I(ldq) I(ldk) I(ldv) I(ldo) I(window) I(block_size) I(stride) I(accumulate) F(scale)

// Input of φ (NSA eq. 7): y[b·hkv + h, j·d + c] = x[block_start[b] + j, h, c] + pos[j, c]; block_start [nb] holds
// absolute token rows; pos [block_size, d] optional. y [nb·hkv, block_size·d].
#define NSA_FIELDS_nsa_block_gather_fwd(T, O, I, F) \
  T(x) O(pos) T(block_start) T(y) I(nb) I(hkv) I(d) I(block_size) I(ldx)
// dx[t,h,c] = Σ over blocks covering t (+= when accumulate); dpos += optional. Document i's blocks are
// [cu_blocks[i], cu_blocks[i+1]), its m-th block starts at cu_seqlens[i] + m·stride.
#define NSA_FIELDS_nsa_block_gather_bwd(T, O, I, F) \
  T(dy) T(dx) O(dpos) T(cu_seqlens) T(cu_blocks) I(n_docs) I(tokens) I(nb) I(hkv) I(d) I(block_size) I(stride) I(ldx) \
  I(accumulate)
// Pooled φ: y[b,h,:] = Σ_j w[j]·x[block_start[b]+j, h, :]; w [block_size]; y [nb, hkv, d].
#define NSA_FIELDS_nsa_pool_fwd(T, O, I, F) T(x) T(w) T(block_start) T(y) I(nb) I(hkv) I(d) I(block_size) I(ldx)
#define NSA_FIELDS_nsa_pool_bwd(T, O, I, F) \
  T(dy) T(x) T(w) T(dx) O(dw) T(cu_seqlens) T(cu_blocks) I(n_docs) I(tokens) I(nb) I(hkv) I(d) I(block_size) I(stride) \
  I(ldx) I(accumulate)
// Top-n selection (NSA eq. 8-12). p_cmp[t,h,i] = exp(scale·q·k_cmp_i − lse[t,h]) for visible i, else 0;
// p_slc[J] = Σ_{m<l'/d} Σ_{n<l/d} p_cmp[(l'/d)·J + m − n], summed over the G heads of the group. Forced: the first
// num_init blocks and the last num_local ending at the block holding t; ties to the lower index. idx i32
// [tokens, hkv, num_selected]: document-local block indices ascending, −1 tail. Candidates: blocks starting at or before t.
// scores (optional, f32 [tokens, hkv, max_blocks]) receives the group-summed p_slc for candidates, 0 elsewhere.
#define NSA_FIELDS_nsa_select(T, O, I, F) \
  T(q) T(k_cmp) T(lse) T(idx) O(scores) T(cu_seqlens) T(cu_blocks) I(n_docs) I(tokens) I(nb) I(hq) I(hkv) I(dim_k) \
  I(ldq) I(ldk) I(block_size) I(stride) I(selection_block_size) I(num_selected) I(num_init) I(num_local) I(max_blocks) \
  F(scale)
// Attention over the selected blocks of the query's document, keys after t masked.
#define NSA_FIELDS_nsa_selected_fwd(T, O, I, F) \
  T(q) T(k) T(v) T(idx) T(o) T(lse) T(cu_seqlens) I(n_docs) I(tokens) I(hq) I(hkv) I(dim_k) I(dim_v) I(ldq) I(ldk) I(ldv) \
  I(ldo) I(selection_block_size) I(num_selected) F(scale)
// delta as of flash_bwd.
#define NSA_FIELDS_nsa_selected_bwd(T, O, I, F) \
  T(q) T(k) T(v) T(idx) T(o) T(lse) T(do_) T(dq) T(dk) T(dv) O(delta) T(cu_seqlens) I(n_docs) I(tokens) I(hq) I(hkv) I(dim_k) I(dim_v) \
  I(ldq) I(ldk) I(ldv) I(ldo) I(selection_block_size) I(num_selected) I(accumulate) F(scale)
// o[t,h,:] = Σ_c sigmoid(gate[t, h·3 + c])·o_c[t,h,:], c = cmp, slc, win; gate rows ldg apart; o_* and o [tokens, hq, dv].
#define NSA_FIELDS_nsa_gate_fwd(T, O, I, F) \
  T(gate) T(o_cmp) T(o_slc) T(o_win) T(o) I(tokens) I(hq) I(dim_v) I(ldg)
// dgate has the strides of gate. deltas, f32 [3, tokens, hq], receives the sums of do_c∘o_c over a row, of what is stored as do_c.
#define NSA_FIELDS_nsa_gate_bwd(T, O, I, F) \
  T(do_) T(gate) T(o_cmp) T(o_slc) T(o_win) T(dgate) T(do_cmp) T(do_slc) T(do_win) O(deltas) I(tokens) I(hq) I(dim_v) I(ldg)

// ---- lm head --------------------------------------------------------------------------------------------------
// z = inv_temperature·h·Wᵀ; lse = logsumexp(z), logp = z[target] − lse (0 where target = −1), entropy = lse − Σ p·z.
// h [n, d], w [v, d]; outputs f32 [n]. Logits are made in chunks; all [n, v] are stored only when given. With dlogp, dh and, unless w is frozen, dw, the
// backward of a loss that is linear in logp is taken in the same pass: dh = and dw += as lm_head_bwd with dlogp alone; logits are scratch then.
#define NSA_FIELDS_lm_head_fwd(T, O, I, F) \
  T(h) T(w) T(targets) T(logp) T(lse) T(entropy) O(logits) O(dlogp) O(dh) O(dw) I(n) I(d) I(v) F(inv_temperature)
// dz_j = dlogp·(1[j=y] − p_j) + dlse·p_j − dentropy·p_j·(log p_j + entropy); dh = inv_temperature·dz·W (=),
// dw += inv_temperature·dzᵀ·h, left out without dw. logits, when given, are those stored by the forward and may be overwritten.
#define NSA_FIELDS_lm_head_bwd(T, O, I, F) \
  T(h) T(w) T(targets) T(lse) T(entropy) O(logits) O(dlogp) O(dlse) O(dentropy) T(dh) O(dw) I(n) I(d) I(v) \
  F(inv_temperature)

// ---- optimizer ------------------------------------------------------------------------------------------------
// state f32 [8] on the device: 0 lr, 1 step (from 1), 2 clip scale, 3 skip (not 0: leave everything untouched), 4 grad norm,
// 5 largest norm that is not an outlier (0: any).
// y[0] += Σ x²; y f64 (f32 allowed). Fixed order.
#define NSA_FIELDS_sum_squares(T, O, I, F) T(x) T(y)
// y i32 [2] = the low and the high word of Σ_i mix(bits of x[i] + (i + 1)·2^64/φ) modulo 2^64, see nsa/fingerprint.h: equal for equal bits
// whatever the order of the sum; other bits give another sum but for a chance of 2^-64. x of any dtype.
#define NSA_FIELDS_fingerprint(T, O, I, F) T(x) T(y)
// grad norm = sqrt(sumsq[0]) · grad_scale; clip = grad_scale·min(1, max_norm/(norm + 1e-6)) (max_norm <= 0: no clip);
// skip = 1 where the norm or one of losses is not finite, 2 where the norm is above state[5] > 0, else 0. Writes state[2..4].
#define NSA_FIELDS_optim_prepare(T, O, I, F) T(sumsq) O(losses) T(state) F(max_norm) F(grad_scale)
// Decoupled AdamW: g' = g·state[2]; m, v moments; p −= lr·lr_mult·(m̂/(sqrt(v̂)+eps) + weight_decay·p). p f32; p_low
// (optional bf16) receives the rounded copy. m, v f32 or bf16 (then stochastically rounded by seed, step, index:
// the low 16 bits of Philox(key = seed, counter = (4, step, i/2 lo, i/2 hi)), word 2·(i%2) for m and the next for v, are added below
// the kept bits before truncation; infinities and NaN round to nearest).
#define NSA_FIELDS_adamw(T, O, I, F) \
  T(p) T(g) T(m) T(v) O(p_low) T(state) F(lr_mult) F(beta1) F(beta2) F(eps) F(weight_decay) I(seed)

// ---- randomness -----------------------------------------------------------------------------------------------
// Philox4x32-10, key = (seed lo, seed hi), counter = (stream, step, pair lo, pair hi); pair p gives elements 2p and 2p+1 by
// Box-Muller on u = (word + 0.5)·2^-32 of words 0 and 1: r = sqrt(−2 ln u0), (r·cos 2πu1, r·sin 2πu1).
#define NSA_FIELDS_philox_normal(T, O, I, F) T(x) I(seed) I(stream) I(step) F(mean) F(std)
// Gumbel-max sampling by token id. params f32 [b, 4]: temperature, top_p, min_p, top_k (0 = off; top_p 1 = off).
// Noise of token j: words of Philox(key = seeds[row] (i64), counter = (3, request, position, j/4))[j%4], g = −ln(−ln u).
// Kept set: top-k, then min-p (p >= min_p·max p), then the smallest set of highest p with mass >= top_p (ties to the lower
// id). temperature 0: argmax, ties to the lower id. logp: full-vocabulary log-softmax at the temperature (at 1 when it is 0)
// of the drawn id; kept_logmass = ln Σ kept p. p is that full-vocabulary softmax in every filter, never renormalised.
#define NSA_FIELDS_sample(T, O, I, F) \
  T(logits) T(params) T(seeds) T(request) T(position) T(ids) T(logp) T(kept_logmass) I(b) I(v)

// ---- paged KV cache -------------------------------------------------------------------------------------------
// cache [pages·page_size, heads·d]: row slot[r] = x[r]; slot −1 skips. x rows ldx apart. slot i32.
#define NSA_FIELDS_paged_write(T, O, I, F) T(x) T(cache) T(slot) I(rows) I(cols) I(ldx)
// page dst[i] = page src[i]; page_elems = page_size·heads·d.
#define NSA_FIELDS_page_copy(T, O, I, F) T(cache) T(src) T(dst) I(n) I(page_elems)
// The last block_size tokens of each sequence, as nsa_block_gather: y [b·hkv, block_size·d]; zeros while seq_len < block_size.
#define NSA_FIELDS_paged_block_gather(T, O, I, F) \
  T(cache) O(pos) T(block_table) T(seq_lens) T(y) I(b) I(hkv) I(d) I(block_size) I(page_size) I(max_pages)
// One query per sequence against its pages. Entries of a sequence: seq_len < block_size ? 0 : (seq_len − block_size)/stride + 1
// (dense: block_size = stride = 1, so seq_len); entry i is row i % page_size of page block_table[s, i / page_size]; the last
// `window` entries when window > 0. q [b, hq, dk], o [b, hq, dv], lse f32 [b, hq] optional. seq_len includes the query's token;
// seq_len 0 marks an idle row (o = 0).
// With k, v, cos, sin, positions and slot (dense only) the newest entries are not in the caches yet. q and k are turned as by rope, then k
// and v are written to row slot[s], that of entry seq_len − 1 (idle rows: −1, nothing is written), and seen like the others. Rows of k
// [b, hkv, dk] and v [b, hkv, dv] are ldq apart: columns of one projection. What q and k hold afterwards is undefined.
#define NSA_FIELDS_paged_attn(T, O, I, F) \
  T(q) T(k_cache) T(v_cache) T(block_table) T(seq_lens) T(o) O(lse) O(k) O(v) O(cos) O(sin) O(positions) O(slot) I(rot_dim) I(b) I(hq) \
  I(hkv) I(dim_k) I(dim_v) I(ldq) I(ldo) I(page_size) I(max_pages) I(window) I(block_size) I(stride) F(scale)
// nsa_select for the last token of each sequence over the paged compressed keys; page_size counts compressed entries a page.
#define NSA_FIELDS_nsa_decode_select(T, O, I, F) \
  T(q) T(k_cmp_cache) T(lse) T(block_table) T(seq_lens) T(idx) I(b) I(hq) I(hkv) I(dim_k) I(ldq) I(page_size) I(max_pages) \
  I(block_size) I(stride) I(selection_block_size) I(num_selected) I(num_init) I(num_local) F(scale)
// Attention of one query per sequence over its selected blocks in the paged cache.
#define NSA_FIELDS_nsa_decode_selected(T, O, I, F) \
  T(q) T(k_cache) T(v_cache) T(idx) T(block_table) T(seq_lens) T(o) I(b) I(hq) I(hkv) I(dim_k) I(dim_v) I(ldq) I(ldo) \
  I(page_size) I(max_pages) I(selection_block_size) I(num_selected) F(scale)
// NSA of one query per sequence: attention over the compressed entries (page_size/stride a page), selection, attention over the selected
// blocks and the last `window` tokens, and their gated sum, as paged_attn, nsa_decode_select, nsa_decode_selected and nsa_gate_fwd after
// one another. o [b, hq, dv]; gate rows ldg apart.
#define NSA_FIELDS_nsa_decode_attend(T, O, I, F) \
  T(q) T(gate) T(k_cmp) T(v_cmp) T(k_slc) T(v_slc) T(k_win) T(v_win) T(block_table) T(seq_lens) T(o) I(b) I(hq) I(hkv) I(dim_k) I(dim_v) \
  I(ldq) I(ldg) I(page_size) I(max_pages) I(block_size) I(stride) I(selection_block_size) I(num_selected) I(num_init) I(num_local) I(window) F(scale)
