# SPDX-License-Identifier: Apache-2.0
# Language, warnings, hardening. Each hardening flag stands behind a check.
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(mkflags INTERFACE)
target_compile_definitions(mkflags INTERFACE _GNU_SOURCE)
target_include_directories(mkflags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
target_compile_options(mkflags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wvla
  -Wformat=2 -Wcast-qual -Wnull-dereference -Wimplicit-fallthrough -Wundef)
if(MK_WERROR)
  target_compile_options(mkflags INTERFACE -Werror)
endif()

function(mk_compile_flag flag)
  string(MAKE_C_IDENTIFIER "MK_C${flag}" var)
  check_c_compiler_flag("-Werror ${flag}" ${var})
  if(${var})
    target_compile_options(mkflags INTERFACE ${flag})
  endif()
endfunction()

function(mk_link_flag flag)
  string(MAKE_C_IDENTIFIER "MK_L${flag}" var)
  check_linker_flag(C "${flag}" ${var})
  if(${var})
    target_link_options(mkflags INTERFACE ${flag})
  endif()
endfunction()

foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero
             -fzero-call-used-regs=used-gpr -fstrict-flex-arrays=3 -fno-strict-overflow
             -fno-delete-null-pointer-checks)
  mk_compile_flag(${flag})
endforeach()
check_linker_flag(C -pie MK_L_pie)
if(MK_L_pie)
  target_link_options(mkflags INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
foreach(flag -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
  mk_link_flag(${flag})
endforeach()
if(NOT MK_COVERAGE) # which reads the sources by their names
  target_compile_options(mkflags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
endif()

# _FORTIFY_SOURCE wants optimisation and does not go with sanitizers.
if(MK_SANITIZE)
  target_compile_options(mkflags INTERFACE -fsanitize=${MK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mkflags INTERFACE -fsanitize=${MK_SANITIZE})
  target_compile_definitions(mkflags INTERFACE MK_SANITIZED=1)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  mk_compile_flag("-D_FORTIFY_SOURCE=3")
endif()

# Locked-down processes write no files: tests/coverage/dump.c brings the counters out.
if(MK_COVERAGE)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
    message(FATAL_ERROR "MK_COVERAGE wants gcc")
  endif()
  target_compile_options(mkflags INTERFACE -fprofile-arcs -ftest-coverage -fprofile-info-section=mk_gcov -fprofile-update=prefer-atomic)
  add_library(mkcover STATIC ${PROJECT_SOURCE_DIR}/tests/coverage/dump.c)
  target_compile_definitions(mkcover PRIVATE _GNU_SOURCE MK_COVER_DIR="${PROJECT_BINARY_DIR}/cover")
  target_link_libraries(mkflags INTERFACE mkcover gcov)
  target_link_options(mkflags INTERFACE -Wl,--undefined=__wrap__exit,--wrap=_exit)
  install(CODE "message(FATAL_ERROR \"an instrumented build is for tests only\")")
endif()
