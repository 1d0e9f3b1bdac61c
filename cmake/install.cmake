# SPDX-License-Identifier: Apache-2.0
file(GLOB pages1 ${PROJECT_SOURCE_DIR}/docs/man/*.1)
file(GLOB pages3 ${PROJECT_SOURCE_DIR}/docs/man/*.3)
file(GLOB pages5 ${PROJECT_SOURCE_DIR}/docs/man/*.5)
file(GLOB pages8 ${PROJECT_SOURCE_DIR}/docs/man/*.8)
install(FILES ${pages1} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages3} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES ${pages5} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${pages8} DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES README.md SECURITY.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

foreach(function makini_open makini_get makini_watch_fd makini_watch_next makini_close makini_strerror)
  install(CODE "
    get_filename_component(man \"${CMAKE_INSTALL_MANDIR}\" ABSOLUTE BASE_DIR \"\${CMAKE_INSTALL_PREFIX}\")
    file(CREATE_LINK libmakini.3 \"\$ENV{DESTDIR}\${man}/man3/${function}.3\" SYMBOLIC)
  ")
endforeach()

# libmakini's header, and its pkg-config file, in which the prefix may be chosen as late as `cmake --install --prefix P`.
install(FILES include/makini/client.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/makini)
install(CODE "
  get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  get_filename_component(MK_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
  get_filename_component(MK_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
  set(PROJECT_VERSION ${PROJECT_VERSION})
  configure_file(\"${PROJECT_SOURCE_DIR}/client/libmakini.pc.in\" \"${PROJECT_BINARY_DIR}/libmakini.pc\" @ONLY)
  file(INSTALL DESTINATION \"\${MK_LIBDIR}/pkgconfig\" TYPE FILE FILES \"${PROJECT_BINARY_DIR}/libmakini.pc\")
")

# The units name their executables by a whole path, and the prefix may be chosen as late as `cmake --install --prefix P`.
set(units makini-agent@.service makini-agent@.socket makini-agent-client@.socket makini-separation.service makini-separation.timer)
foreach(unit ${units})
  install(CODE "
    get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
    get_filename_component(MK_BINDIR \"${CMAKE_INSTALL_BINDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
    get_filename_component(MK_DOCDIR \"${CMAKE_INSTALL_DOCDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/systemd/${unit}.in\" \"${PROJECT_BINARY_DIR}/systemd/${unit}\" @ONLY)
    file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\" TYPE FILE
         FILES \"${PROJECT_BINARY_DIR}/systemd/${unit}\")
  ")
endforeach()
install(FILES systemd/makini-sysusers.conf DESTINATION lib/sysusers.d RENAME makini.conf)
install(FILES systemd/makini-tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME makini.conf)
install(DIRECTORY systemd/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples/clients DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples USE_SOURCE_PERMISSIONS)
