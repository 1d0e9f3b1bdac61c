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
foreach(flag -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)
  mk_link_flag(${flag})
endforeach()
target_compile_options(mkflags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

# _FORTIFY_SOURCE wants optimisation and does not go with sanitizers.
if(MK_SANITIZE)
  target_compile_options(mkflags INTERFACE -fsanitize=${MK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mkflags INTERFACE -fsanitize=${MK_SANITIZE})
  target_compile_definitions(mkflags INTERFACE MK_SANITIZED=1)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  mk_compile_flag("-D_FORTIFY_SOURCE=3")
endif()
if(MK_COVERAGE)
  target_compile_options(mkflags INTERFACE --coverage -fprofile-abs-path)
  target_link_options(mkflags INTERFACE --coverage)
endif()
