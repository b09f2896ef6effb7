// Package validators compares own validation of DNSSEC with unbound's and BIND's (delv): the same
// questions, over zones that are drawn, with every kind of denial, algorithm and fault, served by
// a real Knot. It has no code of its own.
//
// WAXWING_DNSSEC_PAIRS is how many pairs of zone and question are compared at least, instead of
// 300; WAXWING_DNSSEC_SEED draws others, and WAXWING_DNSSEC_ONLY compares those alone whose question contains
// it, and shows the links of the proof. A program that is not installed skips the test, which
// fails with WAXWING_INTEROP=required in the environment.
package validators
