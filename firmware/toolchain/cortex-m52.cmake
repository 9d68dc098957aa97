# cortex-m52: no emulator has it; needs GCC 14; the map is the Cortex-M55's mps3-an547
set(CORE_FLAGS "-mcpu=cortex-m52 -mfloat-abi=hard")
set(BOARD_MEMORY
  VECTORS_BASE=0x00000000
  VECTORS_SIZE=0x00080000
  CODE_BASE=0x01000000
  CODE_SIZE=0x00200000
  RAM_BASE=0x21000000
  RAM_SIZE=0x00400000
  DATA_BASE=0x60000000
  DATA_SIZE=0x01000000
  CACHE STRING "Memory map of the board, as link.ld's symbols")
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
