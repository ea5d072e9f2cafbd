// One narrow set of functions over oneDNN's C API, the same for version 2 (Debian 12) and version 3,
// whose descriptor calls differ. Nothing else in the project mentions a version.
#ifndef APUS_CDNNL_SHIM_H
#define APUS_CDNNL_SHIM_H

#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/// A memory descriptor on the heap.
typedef struct apus_md apus_md;

#if DNNL_VERSION_MAJOR >= 3
#define APUS_MD(md) ((const_dnnl_memory_desc_t)(md))
static inline apus_md *apus_md_clone_of(const_dnnl_memory_desc_t md) {
    dnnl_memory_desc_t copy = NULL;
    return dnnl_memory_desc_clone(&copy, md) == dnnl_success ? (apus_md *)copy : NULL;
}
static inline void apus_md_destroy(apus_md *md) { dnnl_memory_desc_destroy((dnnl_memory_desc_t)md); }
#else
#define APUS_MD(md) ((const dnnl_memory_desc_t *)(md))
static inline apus_md *apus_md_clone_of(const dnnl_memory_desc_t *md) {
    if (!md) return NULL;
    dnnl_memory_desc_t *copy = (dnnl_memory_desc_t *)malloc(sizeof *copy);
    if (copy) *copy = *md;
    return (apus_md *)copy;
}
static inline void apus_md_destroy(apus_md *md) { free(md); }
#endif

/// NULL if the description is not valid.
static inline apus_md *apus_md_create(
    int rank, const int64_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_dims_t d;
    for (int i = 0; i < rank; i++) d[i] = dims[i];
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t md = NULL;
    return dnnl_memory_desc_create_with_tag(&md, rank, d, type, tag) == dnnl_success
        ? (apus_md *)md : NULL;
#else
    dnnl_memory_desc_t md;
    return dnnl_memory_desc_init_by_tag(&md, rank, d, type, tag) == dnnl_success
        ? apus_md_clone_of(&md) : NULL;
#endif
}

static inline size_t apus_md_size(const apus_md *md) { return dnnl_memory_desc_get_size(APUS_MD(md)); }
static inline bool apus_md_equal(const apus_md *a, const apus_md *b) {
    return dnnl_memory_desc_equal(APUS_MD(a), APUS_MD(b)) != 0;
}

static inline dnnl_status_t apus_memory_create(
    dnnl_memory_t *memory, const apus_md *md, dnnl_engine_t engine, void *handle) {
    return dnnl_memory_create(memory, APUS_MD(md), engine, handle);
}

/// A copy of a descriptor of the primitive: what the library chose where it was free to choose.
/// NULL if the primitive has none (a scratchpad of no bytes, say).
static inline apus_md *apus_pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    return apus_md_clone_of(dnnl_primitive_desc_query_md(pd, what, 0));
}

/// The implementation's name, such as "jit:avx512_core"; owned by the descriptor.
static inline const char *apus_pd_implementation(const_dnnl_primitive_desc_t pd) {
    const char *name = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
    return name;
}

/// Attributes of every primitive: scratch memory is the caller's.
static inline dnnl_status_t apus_attributes(dnnl_primitive_attr_t *attr) {
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    if (status != dnnl_success) return status;
    return dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
}

/// What a convolution may apply last.
typedef enum { apus_epilogue_none, apus_epilogue_relu, apus_epilogue_relu6, apus_epilogue_silu } apus_epilogue;

/// Adds to what the target holds, then applies a function.
static inline dnnl_status_t apus_attributes_epilogue(
    dnnl_primitive_attr_t attr, bool adds, apus_epilogue function) {
    if (!adds && function == apus_epilogue_none) return dnnl_success;
    dnnl_alg_kind_t kind = dnnl_eltwise_relu;
    float alpha = 0.0f, beta = 0.0f;
    if (function == apus_epilogue_relu6) { kind = dnnl_eltwise_clip; beta = 6.0f; }
    if (function == apus_epilogue_silu) { kind = dnnl_eltwise_swish; alpha = 1.0f; }
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t status = dnnl_post_ops_create(&ops);
    if (status != dnnl_success) return status;
#if DNNL_VERSION_MAJOR >= 3
    if (adds) status = dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
    if (status == dnnl_success && function != apus_epilogue_none)
        status = dnnl_post_ops_append_eltwise(ops, kind, alpha, beta);
#else
    if (adds) status = dnnl_post_ops_append_sum(ops, 1.0f);
    if (status == dnnl_success && function != apus_epilogue_none)
        status = dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, beta);
#endif
    if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attr, ops);
    dnnl_post_ops_destroy(ops);
    return status;
}

typedef enum { apus_pass_forward, apus_pass_input_gradient, apus_pass_weight_gradient } apus_pass;

/// A convolution in one of its passes. src, weights, bias (may be NULL) and dst are descriptors of
/// the forward shapes; strides, dilations (0: none) and paddings are [height, width].
/// `weight_gradient` is that of the weights' gradient, which may be of another type; other passes
/// ignore it. `adds` and `function` are for the forward pass.
static inline dnnl_status_t apus_convolution_pd(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, apus_pass pass, bool inference,
    dnnl_alg_kind_t algorithm, const apus_md *src, const apus_md *weights,
    const apus_md *weight_gradient, const apus_md *bias, const apus_md *dst, const int64_t *strides, const int64_t *dilations,
    const int64_t *padding_before, const int64_t *padding_after, bool adds, apus_epilogue function) {
    dnnl_dims_t s = {strides[0], strides[1]}, d = {dilations[0], dilations[1]};
    dnnl_dims_t l = {padding_before[0], padding_before[1]};
    dnnl_dims_t r = {padding_after[0], padding_after[1]};
    dnnl_prop_kind_t kind = inference ? dnnl_forward_inference : dnnl_forward_training;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t status = apus_attributes(&attr);
    if (status != dnnl_success) return status;
    status = apus_attributes_epilogue(attr, adds, function);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_primitive_desc_t *forward = pass == apus_pass_forward ? pd : &hint;
    if (status == dnnl_success) status = dnnl_convolution_forward_primitive_desc_create(
        forward, engine, kind, algorithm, APUS_MD(src), APUS_MD(weights), APUS_MD(bias),
        APUS_MD(dst), s, d, l, r, attr);
    if (status == dnnl_success && pass == apus_pass_input_gradient)
        status = dnnl_convolution_backward_data_primitive_desc_create(
            pd, engine, algorithm, APUS_MD(src), APUS_MD(weights), APUS_MD(dst), s, d, l, r, hint,
            attr);
    if (status == dnnl_success && pass == apus_pass_weight_gradient)
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            pd, engine, algorithm, APUS_MD(src), APUS_MD(weight_gradient), APUS_MD(bias),
            APUS_MD(dst), s, d, l, r, hint, attr);
#else
    dnnl_convolution_desc_t forward, op;
    if (status == dnnl_success) status = dnnl_dilated_convolution_forward_desc_init(
        &forward, kind, algorithm, APUS_MD(src), APUS_MD(weights), APUS_MD(bias), APUS_MD(dst), s,
        d, l, r);
    if (status == dnnl_success && pass == apus_pass_forward) {
        status = dnnl_primitive_desc_create(pd, &forward, attr, engine, NULL);
    } else if (status == dnnl_success) {
        status = dnnl_primitive_desc_create(&hint, &forward, attr, engine, NULL);
        if (status == dnnl_success)
            status = pass == apus_pass_input_gradient
                ? dnnl_dilated_convolution_backward_data_desc_init(
                    &op, algorithm, APUS_MD(src), APUS_MD(weights), APUS_MD(dst), s, d, l, r)
                : dnnl_dilated_convolution_backward_weights_desc_init(
                    &op, algorithm, APUS_MD(src), APUS_MD(weight_gradient), APUS_MD(bias),
                    APUS_MD(dst), s, d, l, r);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(pd, &op, attr, engine, hint);
    }
#endif
    if (hint) dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static inline dnnl_status_t apus_matmul_pd(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const apus_md *a, const apus_md *b,
    const apus_md *c) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = apus_attributes(&attr);
    if (status != dnnl_success) return status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_matmul_primitive_desc_create(
        pd, engine, APUS_MD(a), APUS_MD(b), NULL, APUS_MD(c), attr);
#else
    dnnl_matmul_desc_t op;
    status = dnnl_matmul_desc_init(&op, APUS_MD(a), APUS_MD(b), NULL, APUS_MD(c));
    if (status == dnnl_success) status = dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
#endif
    dnnl_primitive_attr_destroy(attr);
    return status;
}

static inline dnnl_status_t apus_reorder_pd(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const apus_md *from, const apus_md *to) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = apus_attributes(&attr);
    if (status != dnnl_success) return status;
    status = dnnl_reorder_primitive_desc_create(pd, APUS_MD(from), engine, APUS_MD(to), engine, attr);
    dnnl_primitive_attr_destroy(attr);
    return status;
}

#endif
