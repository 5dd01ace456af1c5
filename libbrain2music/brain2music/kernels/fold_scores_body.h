#pragma once

#include "brain2music/kernels/host_device.h"

/// The arithmetic of fold_scores, shared by CPU and CUDA: one feature's share for one target and penalty.
namespace brain2music::kernels {

template <class Real>
struct FoldTerms {
  Real c;        // c
  Real product;  // c h
  Real far;      // c n
  Real near;     // c m
  Real gap;      // c g
};

template <class Real>
B2M_HOST_DEVICE FoldTerms<Real> fold_terms(Real c, Real h, Real n, Real m, Real g) {
  return {c, c * h, c * n, c * m, c * g};
}

template <class Real>
struct FoldWeights {
  Real predicted;
  Real product;
  Real far;
  Real near;
  Real gap;
};

template <class Real>
B2M_HOST_DEVICE void add_fold_terms(const FoldTerms<Real>& terms, const FoldWeights<Real>& weights, Real& predicted,
                                    Real& product, Real& squares) {
  predicted += weights.predicted * terms.c;
  product += weights.product * terms.product;
  squares += weights.far * terms.far + weights.near * terms.near + weights.gap * terms.gap;
}

}  // namespace brain2music::kernels
