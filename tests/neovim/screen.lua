-- What a running Neovim draws, as a graphical front end of its own receives it: the grid, cell by cell, and when. The
-- first screen of the editor under test belongs to the Neovim that drives it, which does not look at what it gets.
local Screen = {}
Screen.__index = Screen

local on = {}

--- Attaches to the editor under test; `on_flush(screen, time_ns)` is called whenever what is drawn is complete. `size` is
--- columns and rows.
function Screen.attach(editor, on_flush, size)
  local self = setmetatable({ grid = {}, looks = {}, cursor = { 0, 0 }, on_flush = on_flush or function() end }, Screen)
  self.pipe = assert(vim.uv.new_pipe())
  local is_open, unpack_message = nil, vim.mpack.Unpacker()
  self.pipe:connect(editor:lua('return vim.v.servername'), function(err)
    is_open = assert(not err, err)
  end)
  assert(vim.wait(10000, function() return is_open end, 1), 'the socket of Neovim does not answer')
  self.pipe:read_start(function(err, data)
    assert(not err, err)
    local from = 1
    while data and from <= #data do
      local message
      message, from = unpack_message(data, from)
      if message and message[1] == 2 and message[2] == 'redraw' then self:redraw(message[3]) end
      if message and message[1] == 1 then self.answered = message[2] end
    end
  end)
  local columns, rows = unpack(size or { 120, 40 })
  self:send('nvim_ui_attach', columns, rows, { rgb = true, ext_linegrid = true, ext_hlstate = true })
  assert(vim.wait(10000, function() return self.flushed_ns end, 1), 'Neovim draws nothing')
  return self
end

--- Calls a function of the API and does not wait for its end.
function Screen:send(method, ...)
  self.pipe:write(vim.mpack.encode({ 2, method, { ... } }))
end

--- Waits until all that there is to draw is drawn here.
function Screen:sync()
  self.asked = (self.asked or 0) + 1
  self.pipe:write(vim.mpack.encode({ 0, self.asked, 'nvim_command', { 'redraw' } }))
  assert(vim.wait(60000, function() return self.answered == self.asked end, 1), 'Neovim does not answer')
end

function Screen:redraw(events)
  local now = vim.uv.hrtime()
  for _, event in ipairs(events) do
    local handle = on[event[1]]
    for index = 2, handle and #event or 1 do
      handle(self, event[index], now)
    end
  end
end

function on.hl_attr_define(self, it)
  local id, look, _, info = unpack(it)
  look.names = vim.tbl_map(function(part) return part.hi_name end, info)
  self.looks[id] = look
end

function on.default_colors_set(self, it)
  self.colours = { foreground = it[1], background = it[2] }
end

function on.grid_resize(self, it)
  self.width, self.height = it[2], it[3]
end

function on.grid_clear(self)
  for row = 0, self.height - 1 do
    self.grid[row] = {}
    for column = 0, self.width - 1 do self.grid[row][column] = { ' ', 0 } end
  end
end

function on.grid_line(self, it)
  local _, row, column, cells = unpack(it)
  local look
  for _, cell in ipairs(cells) do
    look = cell[2] or look
    for _ = 1, cell[3] or 1 do
      self.grid[row][column] = { cell[1], look }
      column = column + 1
    end
  end
end

function on.grid_scroll(self, it)
  local _, top, bottom, left, right, by = unpack(it)
  local first, last, step = top, bottom - by - 1, 1
  if by < 0 then first, last, step = bottom - 1, top - by, -1 end
  for row = first, last, step do
    for column = left, right - 1 do self.grid[row][column] = self.grid[row + by][column] end
  end
end

function on.grid_cursor_goto(self, it)
  self.cursor = { it[2], it[3] }
end

function on.flush(self, _, now)
  self.flushed_ns = now
  self:on_flush(now)
end

--- A copy of what is drawn: the grid from 0 on, each cell with its text and its look, and the caret.
function Screen:snapshot()
  return vim.deepcopy({ grid = self.grid, cursor = self.cursor, looks = self.looks, colours = self.colours })
end

--- Whether a cell is drawn in a group of colours.
function Screen:is_drawn_as(cell, group)
  return vim.list_contains((self.looks[cell[2]] or {}).names or {}, group)
end

--- The text that is drawn in one of these groups of colours, line by line.
function Screen:text_in(...)
  local lines = {}
  for row = 0, self.height - 1 do
    local text = ''
    for column = 0, self.width - 1 do
      local cell = self.grid[row][column]
      if vim.iter({ ... }):any(function(group) return self:is_drawn_as(cell, group) end) then text = text .. cell[1] end
    end
    if text ~= '' then table.insert(lines, text) end
  end
  return table.concat(lines, '\n')
end

return Screen
