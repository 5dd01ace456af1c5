#pragma once

/// Marks what the shared library exports; everything else is hidden.
#define B2M_API __attribute__((visibility("default")))
