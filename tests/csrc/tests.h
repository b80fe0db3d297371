// The parts of the test program; each runs once for every form.
#pragma once

void test_strided();
void test_shared();
void test_fused();
