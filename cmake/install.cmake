# SPDX-License-Identifier: Apache-2.0
file(GLOB pages1 ${PROJECT_SOURCE_DIR}/docs/man/*.1)
file(GLOB pages5 ${PROJECT_SOURCE_DIR}/docs/man/*.5)
file(GLOB pages8 ${PROJECT_SOURCE_DIR}/docs/man/*.8)
install(FILES ${pages1} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${pages5} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${pages8} DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES README.md SECURITY.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The unit names its executable by a whole path, and the prefix may be chosen as late as `cmake --install --prefix P`.
set(unit_in ${PROJECT_SOURCE_DIR}/systemd/makini-agent@.service.in)
set(unit ${PROJECT_BINARY_DIR}/systemd/makini-agent@.service)
install(CODE "
  get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  get_filename_component(MK_BINDIR \"${CMAKE_INSTALL_BINDIR}\" ABSOLUTE BASE_DIR \"\${prefix}\")
  configure_file(\"${unit_in}\" \"${unit}\" @ONLY)
  file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\" TYPE FILE FILES \"${unit}\")
")
