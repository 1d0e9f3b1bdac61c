# SPDX-License-Identifier: Apache-2.0
# Libraries of Debian 12, each as mkdep::NAME.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(mk_dep name module)
  pkg_check_modules(MKDEP_${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(mkdep::${name} ALIAS PkgConfig::MKDEP_${name})
endfunction()

mk_dep(seccomp    "libseccomp>=2.5.0")
mk_dep(sodium     "libsodium>=1.0.18")
mk_dep(config     "libconfig>=1.5")
mk_dep(jansson    "jansson>=2.14")
mk_dep(sqlite3    "sqlite3>=3.40")
mk_dep(microhttpd "libmicrohttpd>=0.9.75")
mk_dep(curl       "libcurl>=7.88")
mk_dep(hogweed    "hogweed>=3.7.3")
mk_dep(gmp        "gmp>=6.2")
mk_dep(crypto     "libcrypto>=3.0")
