-- Ghost text that is there, and what it promises.
local Editor = require('editor')
local texts = require('texts')
local ghosts = {}

-- The Rust file with ghost text on screen, behind a typed comma and space.
function ghosts.open(options)
  local editor = Editor.open('point.rs', texts.RUST, options)
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  return editor, editor:wait_for_ghost()
end

-- The lines of the buffer once the ghost text is in it.
function ghosts.lines_with(editor, ghost)
  local lines = editor:lines()
  local line = lines[ghost.row + 1]
  local new = vim.split(line:sub(1, ghost.column) .. ghost.text .. line:sub(ghost.column + 1), '\n')
  local before, after = vim.list_slice(lines, 1, ghost.row), vim.list_slice(lines, ghost.row + 2)
  return vim.iter({ before, new, after }):flatten():totable()
end

function ghosts.check_on_screen(editor, ghost)
  local line = editor:lines()[ghost.row + 1]
  local shown = line:sub(1, ghost.column) .. ghost.first .. line:sub(ghost.column + 1)
  assert(editor:screen():find(shown, 1, true), 'not on the screen:\n' .. editor:screen())
end

function ghosts.check_shown(editor, ghost)
  ghosts.check_on_screen(editor, ghost)
  editor:quit()
end

return ghosts
