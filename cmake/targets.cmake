# SPDX-License-Identifier: Apache-2.0
# A folder is a library, an executable's body, or a tool: all its .c files, not its subfolders'.

function(mk_sources out dir)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${dir}/*.c)
  list(FILTER files EXCLUDE REGEX "/main\\.c$")
  if(NOT files)
    message(FATAL_ERROR "${dir} holds no .c file")
  endif()
  set(${out} ${files} PARENT_SCOPE)
endfunction()

function(mk_library name dir)
  cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
  mk_sources(files ${dir})
  add_library(${name} STATIC ${files})
  target_link_libraries(${name} PUBLIC mkflags ${A_LIBS})
endfunction()

# Object files that are linked whole: an archive would leave out what nothing names.
function(mk_objects name dir)
  mk_sources(files ${dir})
  add_library(${name} OBJECT ${files})
  target_link_libraries(${name} PUBLIC mkflags)
endfunction()

function(mk_exe folder exe)
  cmake_parse_arguments(A "WIPES" "" "LIBS" ${ARGN})
  mk_sources(files ${folder})
  get_filename_component(short ${folder} NAME)
  add_library(mk${short} STATIC ${files})
  target_link_libraries(mk${short} PUBLIC mkflags ${A_LIBS})
  target_compile_definitions(mk${short} PRIVATE MK_VERSION="${PROJECT_VERSION}")
  add_executable(${exe} ${PROJECT_SOURCE_DIR}/${folder}/main.c)
  target_compile_definitions(${exe} PRIVATE MK_VERSION="${PROJECT_VERSION}")
  target_link_libraries(${exe} PRIVATE mk${short})
  if(A_WIPES AND NOT MK_SANITIZE) # a sanitizer brings its own malloc
    target_link_libraries(${exe} PRIVATE mkwipe)
  endif()
endfunction()

# A shared library with symbol versions (FOLDER/libNAME.map), and its archive for the tests.
function(mk_shared folder name soversion version)
  mk_sources(files ${folder})
  add_library(mk${folder} STATIC ${files})
  target_link_libraries(mk${folder} PUBLIC mkflags Threads::Threads)
  add_library(${name} SHARED ${files})
  target_link_libraries(${name} PRIVATE mkflags Threads::Threads)
  set_target_properties(${name} PROPERTIES VERSION ${version} SOVERSION ${soversion} C_VISIBILITY_PRESET hidden
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/lib${name}.map)
  target_link_options(${name} PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/${folder}/lib${name}.map)
  install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

function(mk_process folder exe dest)
  mk_exe(agent/${folder} ${exe} ${ARGN})
  set_target_properties(${exe} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${dest})
  install(TARGETS ${exe} RUNTIME DESTINATION ${dest})
endfunction()

function(mk_tool folder exe)
  mk_exe(${folder} ${exe} ${ARGN})
  install(TARGETS ${exe} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
