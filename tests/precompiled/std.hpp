// What most sources include of the standard library, and tests of doctest: parsed once for each
// target where -Db_pch=true says so. Each source includes what it needs all the same.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#ifdef DOCTEST_CONFIG_SUPER_FAST_ASSERTS
#include <doctest/doctest.h>
#endif
