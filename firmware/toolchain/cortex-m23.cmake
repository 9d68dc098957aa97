# cortex-m23: the memory map is that of QEMU's mps2-an505
set(CORE_FLAGS "-mcpu=cortex-m23 -mfloat-abi=soft")
set(BOARD_MEMORY
  VECTORS_BASE=0x10000000
  VECTORS_SIZE=0x00000400
  CODE_BASE=0x10000400
  CODE_SIZE=0x003ffc00
  RAM_BASE=0x38000000
  RAM_SIZE=0x00400000
  DATA_BASE=0x80000000
  DATA_SIZE=0x01000000
  CACHE STRING "Memory map of the board, as link.ld's symbols")
include(${CMAKE_CURRENT_LIST_DIR}/arm-none-eabi.cmake)
